"""Tables and queries for Athena and Logs Insights."""
