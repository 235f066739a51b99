"""The recount of contract language 2, by what `docs/language.md` says.

It reads the text of the contract itself, so that it shares not even the contract's model with what
it checks. Files are read whole or record by record, and their rows kept in a temporary file.

    contract.read_contract   TOML -> Shop, plain dataclasses
    texts, json_files        bytes -> Table: records by header
    cells, rows              Table -> rows of datasets: only, fill, columns, types (rules 1 to 6)
    latest                   the latest row of each key (rules 4, 5, 7, 8)
    lookups                  values of references (rules 17, 18)
    money, orders            what lines cost; which orders count and are returned (rules 9 to 16)
    days                     KPI rows of some days
    count                    all of it in turn
"""
