"""What a receipt and a refusal tell of mapped rows: what was changed, and what values look like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from kpi.contract.receipt_notes import Note
from kpi.contract.shop import ShopColumn, ShopDataset
from kpi.kernels.arrays import Mask
from kpi.kernels.masks import true
from kpi.mapping.columns import Typed
from kpi.mapping.file_rows import FileRows

MONEY_OF_A_LINE = (
    *("unit_price", "before_discount", "unit_discount", "discount", "after_discount"),
)

SAMPLED_VALUES = 50
"""Values of one problem that are looked at in a chunk."""


def blank_notes(
    dataset: ShopDataset, texts: Mapping[str, pa.Array], inside: Mask
) -> dict[str, int]:
    """Count the lines without a quantity, and those without any money (rule 16)."""
    found = {}
    if "quantity" in dataset.columns:
        found["blank_quantities"] = int((inside & ~true(texts["quantity"].is_valid())).sum())
    money = [name for name in MONEY_OF_A_LINE if name in dataset.columns]
    if money:
        blank = inside.copy()
        for name in money:
            blank &= ~true(texts[name].is_valid())
        found["unpriced_items"] = int(blank.sum())
    return {name: count for name, count in found.items() if count}


def changes(column: ShopColumn, typed: Typed, file_rows: FileRows, inside: Mask) -> Counter[str]:
    """Count the cells of a column that were changed."""
    found = Counter[str]()
    if typed.rounded is not None:
        found[str(Note.ROUNDED)] = int((typed.rounded & inside).sum())
    if typed.elsewhere is not None and column.name == "created_at":
        found[str(Note.ANOTHER_DAY_AS_WRITTEN)] = int((typed.elsewhere & inside).sum())
    if column.kind in ("id", "text"):
        found[str(Note.TRIMMED)] = int((file_rows.trimmed(column) & inside).sum())
    return +found


def sample_values(texts: pa.Array, rows: Mask) -> tuple[str, ...]:
    """Take the first values of some rows."""
    some = pa.array(np.flatnonzero(rows)[:SAMPLED_VALUES])
    return tuple(texts.take(some).drop_null().to_pylist())
