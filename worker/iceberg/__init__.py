"""Publish the current rows as Apache Iceberg tables, for other engines to read.

One table for each dataset holds the rows that are the latest of their key at a ledger sequence.
Nothing of shopkpi reads them. `docs/iceberg.md` says what is in them; `docs/decisions/0019` why.

pyiceberg is imported by these modules alone, and these by `maintain --iceberg` alone.
"""
