"""What every step of the window is built from."""
