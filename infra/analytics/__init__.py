"""SQL over the clean zone: Glue tables and named queries of Athena."""
