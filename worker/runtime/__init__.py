"""Concurrency, retries and memory allocation, for any task."""
