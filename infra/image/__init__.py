"""Building and testing the container image."""
