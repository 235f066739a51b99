"""Validation task: one source object to a clean file, rejects and a ledger entry.

`task` is the entry point, `range_task` the one for a byte range of a huge object. Both hand the
bytes of a `stream` to `source_validation`, which parses, writes and counts the rows.
"""
