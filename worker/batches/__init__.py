"""Batches of uploads: validated together, and taken from the queue once they are in the KPIs."""
