"""Audits of published days, and the archive of raw objects."""
