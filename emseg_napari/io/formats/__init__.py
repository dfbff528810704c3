"""One module for every file format that can be read."""
