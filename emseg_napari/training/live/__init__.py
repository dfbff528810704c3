"""Live learning: training that continues while the user corrects."""
