"""Vectorised NumPy and Arrow building blocks that know nothing of shops."""
