"""Files of every format as records: columns of texts, with the place of each record."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from kpi.contract.shop import FileLayout, Shop
from kpi.kernels.arrays import Mask, Positions
from kpi.validation.rules import Problem


class Records(Protocol):
    """Consecutive records of a file.

    Attributes:
        columns: Cells of those that are rows, in the order of the file's headers.
        count: Records, the broken ones included.
        broken: Records that are no rows, since they cannot be separated into cells.
        blank: Records without a value that have another number of cells.
        has_level: For each list that objects have in them, where a row has an element of it.
    """

    columns: Sequence[pa.Array]
    count: int
    broken: int
    blank: int
    has_level: Sequence[Mask]

    def rejects(
        self, problems: list[Problem], rejected: Positions, kept: Positions
    ) -> tuple[pa.Table, Counter[str]]:
        """Assemble rows of `PARSED_REJECTS`, and count them by reason.

        Args:
            problems: What is wrong, as masks over the rows kept.
            rejected: Positions among the rows kept, ascending.
            kept: Position of each row kept among the rows.
        """


ReadRecords = Callable[[], Records]
"""Parses some bytes in a thread."""


class RecordReader(Protocol):
    """Reads the records of one file.

    Attributes:
        headers: Of its columns.
        levels: Of each folded header, the number of the list whose elements have it, from 1;
            absent where a record itself has it.
        first_record: Number of the first record, where the first of a file is 0.
        extra_dates: Whether dates may also be written as ISO 8601, since they have a type.
    """

    headers: tuple[str, ...]
    levels: Mapping[str, int]
    first_record: int
    extra_dates: bool

    def read(self) -> AsyncGenerator[ReadRecords, None]:
        """Yield the records, as calls that parse them.

        Raises:
            FileRefusedError: The file is not what its beginning promised.
        """


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An entry of `[[files]]` that may take a file.

    Attributes:
        layout: The entry.
        names: What its pattern took from the path.
        number: Of the entry in the contract, from 0.
    """

    layout: FileLayout
    names: dict[str, str]
    number: int


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A file whose entry is known."""

    candidate: Candidate
    reader: RecordReader


@dataclass(frozen=True, kw_only=True)
class FormatContext:
    """What readers know of the contract.

    Attributes:
        shop: The contract.
        max_record_bytes: Bytes of a record at most.
        max_columns: Columns at most.
        max_inflation: Decompressed bytes per stored byte at most.
    """

    shop: Shop
    max_record_bytes: int
    max_columns: int
    max_inflation: int


NO_LEVELS: Mapping[str, int] = {}

UNKNOWN_HEADER = (
    "expected a header that an entry of [[files]] is known by (known_by), got none of them"
)
