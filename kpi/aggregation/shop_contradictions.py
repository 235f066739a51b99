"""Orders of which the rows of one file say different things that KPIs are made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kpi.aggregation.shop_columns import texts_of
from kpi.contract.conditions import Conditions
from kpi.contract.shop import ShopDataset
from kpi.kernels.arrays import Words
from kpi.kernels.duplicates import find_duplicates, find_members
from kpi.mapping.clean_rows import DAY, dated_column
from kpi.mapping.conditions import holds

DECIDING = ("user_id", "discount", "refund", "total", "quantity", "currency", "rate")
"""Columns of an order, beside its day, that KPIs are made of."""

PARTS = 4
"""Columns whose words share one word of 64 bits, each with 16 of its bits."""

_BITS = np.uint64(16)

_MIXER = np.uint64(0x9E3779B97F4A7C15)
"""Moves what differs in words into their upper bits; any odd number."""

PackedWords = npt.NDArray[np.uint64]
"""Row x packed words."""


class ContradictionCounter:
    """Counts the orders of a file whose rows differ in what KPIs are made of.

    Of such an order the last row counts, in silence: a column of the line may be mapped as one of
    the order, or numbers begin anew. Of conditions the outcome is compared. Values are compared by
    16 bits each: of 65,536 contradictions one is not counted.
    """

    def __init__(self, orders: ShopDataset) -> None:
        day = "created_at" if dated_column(orders) is None else DAY
        conditions = {
            names: condition
            for condition in (orders.excluded, orders.returned or ())
            if (names := _tested(condition))
        }
        of_rows = {
            names: condition
            for names, condition in conditions.items()
            if not any(orders.columns[name].via for name in names)
        }
        # A value that is looked up is not known yet.
        others = [name for names in conditions.keys() - of_rows.keys() for name in sorted(names)]
        known = [name for name in (*DECIDING, *others) if name in orders.columns]
        self._columns = list(dict.fromkeys([day, *known]))
        self._conditions = of_rows
        self._keys: list[Words] = []
        self._values: list[PackedWords] = []

    def include(self, rows: pa.Table, words: Mapping[str, Words]) -> None:
        """Take in the next clean rows.

        Args:
            rows: The rows.
            words: Of their columns; of the first rows alone where no more are counted.
        """
        if not words:
            return
        keys = words["order_id"]
        values = self._packed(rows.slice(0, len(keys)), words)
        # Equal neighbours, as the lines of an order are for the order, need no second look.
        other = np.ones(len(keys), bool)
        other[1:] = (keys[1:] != keys[:-1]) | (values[1:] != values[:-1]).any(axis=1)
        self._keys.append(keys[other])
        self._values.append(values[other])

    def count(self) -> dict[str, int]:
        """Count such orders by column; columns in which none differ are left out."""
        if not self._keys:
            return {}
        keys = np.concatenate(self._keys)
        repeated = find_duplicates(keys.copy())
        if not len(repeated):
            return {}
        some = find_members(keys, repeated)
        keys, values = keys[some], np.concatenate(self._values)[some]
        order = np.argsort(keys, kind="stable")
        keys, values = keys[order], values[order]
        same = keys[1:] == keys[:-1]
        differing = values[1:] ^ values[:-1]
        found = {}
        for at, name in enumerate(self._names()):
            bits = differing[:, at // PARTS] >> (_BITS * np.uint64(at % PARTS))
            hit = same & ((bits & np.uint64(0xFFFF)) != 0)
            found[name] = len(np.unique(keys[1:][hit]))
        return {name: count for name, count in found.items() if count}

    def _names(self) -> list[str]:
        columns = ["created_at" if name == DAY else name for name in self._columns]
        return [*columns, *("+".join(sorted(names)) for names in self._conditions)]

    def _packed(self, rows: pa.Table, words: Mapping[str, Words]) -> PackedWords:
        width = len(self._columns) + len(self._conditions)
        packed = np.zeros((rows.num_rows, -(-width // PARTS)), np.uint64)
        for at, one in enumerate(self._words(rows, words)):
            bits = (one * _MIXER) >> np.uint64(48)
            packed[:, at // PARTS] |= bits << (_BITS * np.uint64(at % PARTS))
        return packed

    def _words(self, rows: pa.Table, words: Mapping[str, Words]) -> Iterator[Words]:
        for name in self._columns:
            yield words[name]
        for conditions in self._conditions.values():
            outcome = holds(conditions, lambda name: texts_of(rows, name), rows.num_rows)
            yield outcome.astype(np.uint64)


def _tested(conditions: Conditions) -> frozenset[str]:
    """Name the columns that some conditions test."""
    return frozenset(name for condition in conditions for name in condition)
