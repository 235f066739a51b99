"""Assemble rejects of records whose place and bytes are known one by one, as those of JSON are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kpi.csv.chunk import Malformed
from kpi.kernels.arrays import Positions
from kpi.validation.rejects import PARSED_REJECTS, ReasonSets
from kpi.validation.rules import Problem

NO_OFFSET = -1
"""Byte offset of a row whose format has none, as rows of Parquet and of workbooks."""


@dataclass(frozen=True, kw_only=True)
class PlacedRow:
    """Place of a row in its file.

    Attributes:
        row: Number of its record, from 0.
        offset: Of its first byte; `NO_OFFSET` where the format has none.
        raw: The record, as it is shown to who looks for it.
    """

    row: int
    offset: int
    raw: bytes


def assemble_row_rejects(
    problems: list[Problem],
    rejected: Positions,
    place: Callable[[int], PlacedRow],
    malformed: Sequence[tuple[int, Malformed]] = (),
) -> tuple[pa.Table, Counter[str]]:
    """Assemble the rejects of some rows, and count them by reason.

    Args:
        problems: What is wrong, as masks over the rows.
        rejected: Positions of the rows that have problems, ascending.
        place: Finds the place of a row.
        malformed: Numbers of the records that are no rows, and why.
    """
    reasons = ReasonSets()
    codes = np.concatenate(
        [
            reasons.add_problems(problems, rejected),
            reasons.add_malformed([bad for _, bad in malformed]),
        ]
    )
    places = [place(at) for at in rejected.tolist()]
    places += [PlacedRow(row=row, offset=bad.offset, raw=bad.raw) for row, bad in malformed]
    order = np.argsort(np.array([one.row for one in places], np.int64), kind="stable")
    rows = [places[at] for at in order]
    table = pa.table(
        {
            "row": pa.array([one.row for one in rows], pa.int64()),
            "byte_offset": pa.array([one.offset for one in rows], pa.int64()),
            "raw": pa.array([one.raw for one in rows], pa.binary()),
            "reasons": reasons.encode(codes[order]),
        },
        schema=PARSED_REJECTS,
    )
    return table, reasons.count(codes)
