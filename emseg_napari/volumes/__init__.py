"""Volumes of any size: reading them where they are asked for, and writing them block by block."""
