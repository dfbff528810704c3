"""Prediction: what a run learned, over slices and volumes, without Keras."""

from emseg_napari.inference.slice_predictor import Method, SlicePredictor
from emseg_napari.inference.stack import load_predictor, predict

__all__ = ["Method", "SlicePredictor", "load_predictor", "predict"]
