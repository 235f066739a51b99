"""Validation task: one source object to a clean file, rejects and a ledger entry."""
