"""Check of an installation: what is there, what works, and what to do about what does not."""
