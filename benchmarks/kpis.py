"""KPI tables as results of a run, and whether two runs found the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kpi.aggregation.tables import CATEGORY_KPIS, ORDER_KPIS, KpiTable

TABLES = (ORDER_KPIS, CATEGORY_KPIS)

Key = tuple[str, ...]
Rows = Mapping[Key, Mapping[str, Decimal]]
Kpis = Mapping[str, Rows]
"""KPI table -> key (order_date, and the group where there is one) -> attribute -> value."""

MONEY_STEP = Decimal("0.01")
RATE_STEP = Decimal("0.0001")


class Differs(Exception):
    """Two runs that should have found the same KPIs did not; the message lists some of it."""


def of_sqlite(path: Path) -> Kpis:
    """Read the KPI tables of a SQLite state of ours."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        found = {}
        for table in TABLES:
            names = list(table.attributes)
            # Names come from kpi.aggregation.tables.
            query = f"SELECT {', '.join(names)} FROM {table.name}"  # noqa: S608
            found[table.name] = _rows(table, database.execute(query))
        return found


def of_parquet(folder: Path) -> Kpis:
    """Read the KPI tables that a peer wrote below a folder."""
    found = {}
    for table in TABLES:
        written = pq.read_table(folder / f"{table.name}.parquet").select(list(table.attributes))
        at = written.schema.get_field_index("order_date")
        days = written.column(at).cast(pa.date32())
        columns = written.set_column(at, "order_date", days).to_pydict().values()
        found[table.name] = _rows(table, zip(*columns, strict=True))
    return found


def check_same(ours: Kpis, theirs: Kpis, *, exact: bool) -> None:
    """Compare the KPIs of two runs over the same rows.

    Args:
        ours: What this project found.
        theirs: What another run or engine found.
        exact: Sums of money must be equal; else they may differ by a cent, as sums of floats do.
            Averages and rates may differ by a step of their last place in any case, since engines
            round halves in ways of their own; counts may not differ.

    Raises:
        Differs: They do not agree.
    """
    found = list(islice(_differences(ours, theirs, exact=exact), 5))
    if found:
        raise Differs("; ".join(found))


def total(kpis: Kpis, attribute: str) -> Decimal:
    """Sum of an attribute of `order_kpis` over all days."""
    return sum((row[attribute] for row in kpis[ORDER_KPIS.name].values()), Decimal())


def _differences(ours: Kpis, theirs: Kpis, *, exact: bool) -> Iterator[str]:
    for table in TABLES:
        mine, other = ours[table.name], theirs[table.name]
        for key in sorted(mine.keys() ^ other.keys()):
            yield f"{table.name} {', '.join(key)}: {'ours' if key in mine else 'theirs'} alone"
        for key in sorted(mine.keys() & other.keys()):
            for name, value in mine[key].items():
                if abs(value - other[key][name]) > _tolerance(table, name, exact=exact):
                    yield f"{table.name} {', '.join(key)} {name}: {value} and {other[key][name]}"


def _tolerance(table: KpiTable, name: str, *, exact: bool) -> Decimal:
    kind = table.attributes[name]
    if kind == "rate":
        return RATE_STEP
    if kind == "money":
        return Decimal() if exact and name.endswith("revenue") else MONEY_STEP
    return Decimal()


def _rows(table: KpiTable, rows: Iterator[tuple[object, ...]] | sqlite3.Cursor) -> Rows:
    keys = 2 if table.group_key else 1
    names = list(table.attributes)[keys:]
    places = {name: _step(table, name) for name in names}
    found: dict[Key, Mapping[str, Decimal]] = {}
    for row in rows:
        values = zip(names, row[keys:], strict=True)
        found[tuple(map(str, row[:keys]))] = {
            name: Decimal(str(value)).quantize(places[name]) for name, value in values
        }
    return found


def _step(table: KpiTable, name: str) -> Decimal:
    return {"rate": RATE_STEP, "money": MONEY_STEP}.get(table.attributes[name], Decimal(1))
