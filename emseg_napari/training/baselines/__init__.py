"""Baselines without a network, fitted in seconds: a ridge filter and boosted trees."""
