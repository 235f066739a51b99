"""Chunks of whole records to typed columns and rejects."""
