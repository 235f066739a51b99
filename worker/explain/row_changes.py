"""Count the rows that differ between two states of a day, and name some of their keys."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from worker.explain.day_rows import Tables

KEYS_SHOWN = 5
"""Keys of a step that are named."""

UNMASKED_CHARACTERS = 2
"""Characters at the end of a masked key that are left."""


MASK_CHARACTERS = 3
"""Characters that stand for the others, however many they are."""

_SIDE = "_side"
"""Column beside those of the clean rows: whether a row was there before, or is after."""


@dataclass(frozen=True, kw_only=True)
class RowChanges:
    """Rows that differ between two states of a day.

    Attributes:
        rows: Dataset -> keys that came, went, or got other values; only datasets with some.
        keys: A few of them: dataset and key.
    """

    rows: Mapping[str, int]
    keys: tuple[tuple[str, str], ...]


def compare_rows(
    before: Tables | None, after: Tables, keys: Mapping[str, Sequence[str]]
) -> RowChanges:
    """Compare what a day was made of.

    Args:
        before: Dataset -> its rows; None for no rows at all.
        after: The same later.
        keys: Dataset -> columns of its key.
    """
    counts: dict[str, int] = {}
    shown: list[tuple[str, str]] = []
    for name, rows in after.items():
        earlier = rows.slice(0, 0) if before is None else before[name]
        changed = _changed_keys(earlier, rows, keys[name])
        if len(changed):
            counts[name] = len(changed)
            shown += ((name, _text(one)) for one in changed.slice(0, KEYS_SHOWN).to_pylist())
    return RowChanges(rows=counts, keys=tuple(shown[:KEYS_SHOWN]))


def mask_key(key: str) -> str:
    """Replace all but the last characters of a key."""
    hidden = max(len(key) - UNMASKED_CHARACTERS, 1)
    return "*" * min(hidden, MASK_CHARACTERS) + key[hidden:]


def _changed_keys(before: pa.Table, after: pa.Table, key: Sequence[str]) -> pa.Table:
    """Return the distinct keys of rows that two tables do not have equally often, ascending."""
    columns = after.column_names
    sides = [
        table.select(columns).append_column(_SIDE, pa.array([side] * len(table), pa.int64()))
        for side, table in ((-1, before), (1, after))
    ]
    counted = pa.concat_tables(sides).group_by(columns).aggregate([(_SIDE, "sum")])
    single = counted.filter(pc.not_equal(counted.column(f"{_SIDE}_sum"), 0))
    distinct = single.group_by(list(key)).aggregate([])
    return distinct.sort_by([(name, "ascending") for name in key])


def _text(key: Mapping[str, object]) -> str:
    return "/".join(
        str(uuid.UUID(bytes=one)) if isinstance(one, bytes) else str(one) for one in key.values()
    )
