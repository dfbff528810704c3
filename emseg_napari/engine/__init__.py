"""Engine: the child process that trains and predicts, and its client in the window's process."""
