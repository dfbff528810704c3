"""Networks and how a finished training is kept: run folders, checkpoints, ONNX files, the starter."""
