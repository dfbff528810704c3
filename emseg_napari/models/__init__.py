"""Networks and the files of a training: run folders, checkpoints, ONNX files, the starter."""
