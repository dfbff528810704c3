"""Foundations without napari or Keras: long jobs, labels, files, block-wise processing."""
