"""Training of networks and baselines: data, patches, losses, schedule, validation, live learning."""
