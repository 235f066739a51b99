"""Objects of JSON to columns of texts, by the paths that a contract names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from kpi.contract.model import header_form
from kpi.contract.reject_reasons import Reason
from kpi.csv.chunk import Malformed
from kpi.json.framing import Record
from kpi.kernels.arrays import Mask, Positions

MAX_DEPTH = 16
"""Objects within each other in which headers are looked for."""

MAX_PATHS = 10_000
"""Paths of a file that are remembered."""

Path = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the values of a column are.

    Attributes:
        path: Keys that lead to it from its level.
        level: 0 for the object itself, 1 for an element of its list, 2 for one of a list in that.
    """

    path: Path
    level: int = 0


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Where the values of a file's columns are.

    Attributes:
        headers: Columns, as the contract names them.
        places: Of each.
        lists: Keys that lead to a list from the level above it; the rows are elements of the last.
        numeric: Columns of numbers; elsewhere a number is kept as it is written.
        decimal: Mark before the decimals that columns of numbers get.
        unseen: Columns that no record so far had, by number.
    """

    headers: tuple[str, ...]
    places: tuple[Place, ...]
    lists: tuple[Path, ...] = ()
    numeric: frozenset[str] = frozenset()
    decimal: str = "."
    unseen: frozenset[int] = frozenset()

    @property
    def levels(self) -> dict[str, int]:
        """Level of each folded header."""
        pairs = zip(self.headers, self.places, strict=True)
        return {header_form(header): place.level for header, place in pairs}


@dataclass(frozen=True, kw_only=True)
class JsonRows:
    """Rows of some records.

    Attributes:
        columns: Cells by column.
        record_of: Of each row, the position of its record.
        has_level: For each list, where a row has an element of it.
        malformed: Records that cannot be read, and their positions.
        unseen: Columns that these records do not have either.
    """

    columns: list[pa.Array]
    record_of: Positions
    has_level: list[Mask]
    malformed: list[tuple[int, Malformed]]
    unseen: frozenset[int]


class SamplePaths:
    """Paths of some objects by their folded, dotted names, level by level."""

    def __init__(self, objects: Sequence[Any], each: Path) -> None:
        """Find the paths.

        Args:
            objects: Some objects of a file.
            each: Keys that lead to the list whose elements are the rows; lists on the way are
                levels of their own. Empty where objects are the rows.
        """
        self.lists = _lists_on(objects, each)
        self._levels: list[dict[str, Path]] = [{} for _ in range(len(self.lists) + 1)]
        for one in objects:
            for row in _contexts(one, self.lists):
                for context, found in zip(row, self._levels, strict=True):
                    _walk(context, (), found)

    @property
    def of_object(self) -> dict[str, Path]:
        """Paths from the object itself."""
        return self._levels[0]

    def locate(self, header: str) -> tuple[Place, bool]:
        """Find a header, and tell whether the sample has it.

        It is looked for behind the whole path of a list, then in each level, the object first.
        """
        form = header_form(header)
        for level in range(len(self.lists), 0, -1):
            behind = [key for path in self.lists[:level] for key in path]
            prefix = header_form(".".join(behind)) + "."
            if form.startswith(prefix):
                found = self._levels[level].get(form[len(prefix) :])
                path = found or tuple(header.split(".")[len(behind) :])
                return Place(path=path, level=level), found is not None
        for level, paths in enumerate(self._levels):
            if form in paths:
                return Place(path=paths[form], level=level), True
        return Place(path=tuple(header.split("."))), False


def _lists_on(objects: Sequence[Any], each: Path) -> tuple[Path, ...]:
    """Divide a path behind each key whose value is a list in some object."""
    lists: list[Path] = []
    begun: list[str] = []
    values = [*objects]
    for key in each:
        begun.append(key)
        values = [value.get(key) for value in values if isinstance(value, dict)]
        if any(isinstance(value, list) for value in values):
            lists.append(tuple(begun))
            begun = []
            values = [inner for value in values for inner in _elements(value)]
    if begun:
        lists.append(tuple(begun))
    return tuple(lists)


def _elements(value: Any) -> list[Any]:  # noqa: ANN401
    """Take the elements of a list; one that is no list is its own element."""
    if isinstance(value, list):
        return [one for one in value if one is not None]
    return [] if value is None else [value]


def _contexts(value: Any, lists: Sequence[Path]) -> list[tuple[Any, ...]]:  # noqa: ANN401
    """Pair each element of the last list with those that it is in; None where a list is empty."""
    if not lists:
        return [(value,)]
    inner = value
    for key in lists[0]:
        inner = inner.get(key) if isinstance(inner, dict) else None
    found = [row for one in _elements(inner) for row in _contexts(one, lists[1:])]
    return [(value, *row) for row in found or [(None,) * len(lists)]]


def _walk(value: Any, path: Path, found: dict[str, Path]) -> None:  # noqa: ANN401
    if not isinstance(value, dict) or len(path) >= MAX_DEPTH or len(found) >= MAX_PATHS:
        return
    for key, inner in value.items():
        found.setdefault(header_form(".".join((*path, key))), (*path, key))
        _walk(inner, (*path, key), found)


def read_objects(
    records: Sequence[Record], shape: Shape, parse: Callable[[bytes], object]
) -> JsonRows:
    """Read the rows of some records.

    Args:
        records: The records.
        shape: Where the values of their columns are.
        parse: Parser of RFC 8259; numbers may become doubles. It raises `ValueError`.
    """
    has_long_numbers = _LONG_NUMBER.search(b"\n".join(one.data for one in records)) is not None
    builder = _Builder(shape)
    for at, record in enumerate(records):
        if record.too_long:
            builder.reject(at, record, Reason.RECORD_TOO_LONG)
            continue
        try:
            value = _parse(record.data, parse)
            if has_long_numbers and _LONG_NUMBER.search(record.data):
                value = _parse_literally(record.data)
        except ValueError:  # of the parser, of the standard library, and of UTF-8
            builder.reject(at, record, Reason.MALFORMED_JSON)
            continue
        if not isinstance(value, dict):
            builder.reject(at, record, Reason.MALFORMED_JSON)
            continue
        try:
            builder.add(at, value)
        except _LiteralNeededError:
            builder.add(at, _parse_literally(record.data))
    return builder.rows()


_LONG_NUMBER = re.compile(rb"[0-9.]{16}")
"""Numbers that a double may not hold as they are written: it has 15 digits for certain."""


class _LiteralNeededError(Exception):
    """A number is read as a text: 1.10 is not 1.1."""


class _Number(str):
    """A number as it is written."""

    __slots__ = ()


def _parse(data: bytes, parse: Callable[[bytes], object]) -> object:
    """Parse a record; strings hold bytes that are not UTF-8 as surrogates (PEP 383).

    Raises:
        ValueError: It is no JSON.
    """
    try:
        return parse(data)
    except ValueError:
        try:
            data.decode()
        except UnicodeDecodeError:
            return _parse_literally(data)
        raise


def _parse_literally(data: bytes) -> Any:  # noqa: ANN401
    try:
        return json.loads(
            data.decode("utf-8", "surrogateescape"),
            parse_float=_Number,
            parse_int=_Number,
            parse_constant=_refuse,
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


@dataclass(frozen=True)
class _Column:
    """A column, its path, and whether it is one of numbers."""

    number: int
    path: Path
    is_number: bool


class _Builder:
    """Collects the cells of rows."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._cells: list[list[str | None]] = [[] for _ in shape.headers]
        self._record_of: list[int] = []
        self._has_level: list[list[bool]] = [[] for _ in shape.lists]
        self._malformed: list[tuple[int, Malformed]] = []
        self._unseen = set(shape.unseen)
        self._levels: list[list[_Column]] = [[] for _ in range(len(shape.lists) + 1)]
        for number, (header, place) in enumerate(zip(shape.headers, shape.places, strict=True)):
            column = _Column(number, place.path, header in shape.numeric)
            self._levels[place.level].append(column)

    def reject(self, at: int, record: Record, reason: Reason) -> None:
        malformed = Malformed(offset=record.offset, raw=record.data, reason=reason)
        self._malformed.append((at, malformed))

    def add(self, at: int, value: dict[str, Any]) -> None:
        """Add the rows of an object.

        Raises:
            _LiteralNeededError: They hold a number that must be read as it is written; none is
                added.
        """
        rows = _contexts(value, self._shape.lists)
        if self._unseen:
            self._look_for_unseen(rows)
        added: list[list[tuple[int, str | None]]] = []
        known: dict[int, list[tuple[int, str | None]]] = {}
        for row in rows:
            cells: list[tuple[int, str | None]] = []
            for context, columns in zip(row, self._levels, strict=True):
                # Elements share what is around them.
                of_level = known.get(id(context)) if context is not None else None
                if of_level is None:
                    of_level = [(one.number, self._cell(context, one)) for one in columns]
                    known[id(context)] = of_level
                cells += of_level
            added.append(cells)
        for row, cells in zip(rows, added, strict=True):
            self._record_of.append(at)
            for context, has_level in zip(row[1:], self._has_level, strict=True):
                has_level.append(context is not None)
            for number, text in cells:
                self._cells[number].append(text)

    def _look_for_unseen(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Look for columns; a null on the way to one says that it is there."""
        for number in list(self._unseen):
            place = self._shape.places[number]
            if any(_leads(row[place.level], place.path) for row in rows):
                self._unseen.discard(number)

    def _cell(self, value: Any, column: _Column) -> str | None:  # noqa: ANN401
        """Read the text of a column; None where there is none."""
        for key in column.path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is None or type(value) is str:
            return value
        if type(value) is float:
            if not column.is_number:
                raise _LiteralNeededError
            value = _Number(repr(value))
        if isinstance(value, _Number) and column.is_number:
            return value.replace(".", self._shape.decimal)
        # Booleans are true and false, lists and objects as they are written.
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    def rows(self) -> JsonRows:
        return JsonRows(
            columns=[_texts(cells) for cells in self._cells],
            record_of=np.array(self._record_of, np.int64),
            has_level=[np.array(one, bool) for one in self._has_level],
            malformed=self._malformed,
            unseen=frozenset(self._unseen),
        )


def _leads(value: object, path: Path) -> bool:
    if value is None:
        return False
    for key in path:
        if value is None:
            return True
        if not isinstance(value, dict) or key not in value:
            return False
        value = value[key]
    return True


def _texts(cells: list[str | None]) -> pa.Array:
    try:
        return pa.array(cells, pa.string())
    except UnicodeEncodeError:  # bytes that are not UTF-8
        encoded = [None if one is None else one.encode("utf-8", "surrogateescape") for one in cells]
        return pa.array(encoded, pa.binary())
