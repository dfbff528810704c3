"""Networks to and from other programs: bioimage.io packages, Keras and ONNX files."""
