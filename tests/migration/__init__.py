"""Data of earlier releases, and what a later one makes of it."""
