"""The domain of shopkpi: from bytes of flat files to daily KPI rows.

Pure functions over bytes and Arrow arrays: no I/O, no asyncio, no AWS. `worker` does the I/O.
"""
