"""Prediction: what a run learned, over slices and volumes, without Keras."""

from emseg_napari.models.resampling import Window
from emseg_napari.prediction.predictor import Method, SlicePredictor
from emseg_napari.prediction.stacks import load_predictor, predict

__all__ = ["Method", "SlicePredictor", "Window", "load_predictor", "predict"]
