"""A second, plain implementation of the KPIs, for audits: row by row, by the standard library.

It shares nothing with what it checks but the contract's model and the names of the KPI tables: no
NumPy, no Arrow, no hashing, no vectorised parser. `tests/unit/worker/recount/test_imports.py` holds
that. It says what `docs/contract.md` and `docs/ARCHITECTURE.md` say, in the shortest form that is
correct, and it is slow: a few microseconds a value.

    raw file -> records.read_records -> rows.RawRow -> days.DayCount -> KPI rows
    clean file ------------------------> rows.CleanRow /
"""
