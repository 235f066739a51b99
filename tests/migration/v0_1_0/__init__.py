"""Data written by release 0.1.0; see README.md."""
