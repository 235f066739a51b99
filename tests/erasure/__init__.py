"""Customers erased from everything that is stored."""
