"""Ledger and KPI tables in DynamoDB."""
