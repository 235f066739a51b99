"""Hold some values of a file against the forms of a contract."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from kpi.contract.folding import BLANKS, fold
from kpi.contract.shop import FileLayout, Shop
from kpi.mapping.columns import EXPECTED, Forms, read_column
from kpi.mapping.dates import Clock

MAX_WRONG_SHARE = 0.1
"""Values of a column that may be no number or date of the form: as many rows may be rejected."""


def reads_values(
    shop: Shop, entry: FileLayout, header: Sequence[str], rows: Sequence[Sequence[str]]
) -> bool:
    """Whether the forms of an entry read the numbers and dates of some rows.

    Args:
        shop: Contract.
        entry: Entry of `[[files]]` that takes the file.
        header: Of the file.
        rows: Cells.
    """
    forms = Forms(numbers=entry.numbers, dates=entry.dates, clock=Clock(shop.day, shop.times))
    places = {fold(name): at for at, name in enumerate(header)}
    for name in entry.feeds:
        for column in shop.all_datasets[name].columns.values():
            at = next((places[fold(one)] for one in column.headers if fold(one) in places), None)
            if at is None or column.stored_kind not in EXPECTED:
                continue
            cells = [row[at].strip(BLANKS) for row in rows if at < len(row)]
            texts = pa.array([cell or None for cell in cells], pa.string())
            wrong = int(read_column(texts, column, forms, None).wrong.sum())
            if wrong > MAX_WRONG_SHARE * len(texts):
                return False
    return True
