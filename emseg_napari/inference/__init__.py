"""Prediction: what a run learned, over slices and volumes, without Keras."""

from emseg_napari.inference.slice_predictor import Backend, SlicePredictor
from emseg_napari.inference.stack import load_predictor, predict

__all__ = ["Backend", "SlicePredictor", "load_predictor", "predict"]
