"""Training: from labelled slices to the weights of a network."""
