"""Baselines beside the networks: a fitted ridge filter, and boosted trees."""
