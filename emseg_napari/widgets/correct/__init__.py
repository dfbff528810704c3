"""Step Correct."""
