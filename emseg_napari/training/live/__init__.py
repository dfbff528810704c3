"""Live learning: training that goes on while the user corrects."""
