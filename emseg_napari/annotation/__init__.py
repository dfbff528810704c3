"""Annotation: states of labels, repairs, suggested places to look at, and sessions on disk."""
