"""The engine: the child process in which Keras runs, its client, and the pipe between them."""
