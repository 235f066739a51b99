"""Ledger and KPI tables in one SQLite file."""
