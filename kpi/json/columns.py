"""Objects of JSON to columns of texts, by the paths that a contract names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from kpi.contract.model import header_form
from kpi.contract.reject_reasons import Reason
from kpi.csv.chunk import Malformed
from kpi.json.framing import Records
from kpi.json.parsing import Number, Parse, parse_all, parse_literally
from kpi.kernels.arrays import Mask, Positions

MAX_DEPTH = 16
"""Objects within each other in which headers are looked for."""

MAX_PATHS = 10_000
"""Paths of a file that are remembered."""

LISTED_ELEMENTS = 10
"""Elements of a list in which further lists are looked for."""

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

    def headers(self) -> dict[str, Place]:
        """Name each value by its path, that of its list before it, and say where it is."""
        found: dict[str, Place] = {}
        behind: Path = ()
        for level, paths in enumerate(self._levels):
            behind += self.lists[level - 1] if level else ()
            for path in paths.values():
                found[".".join((*behind, *path))] = Place(path=path, level=level)
        return found

    def rows(self, objects: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """Yield each row as the object and the elements of lists that it is in."""
        for one in objects:
            yield from _contexts(one, self.lists)

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


def list_paths(objects: Sequence[Any], *, depth: int = 4) -> list[str]:
    """Name the lists of objects in some objects by their dotted paths, in order."""
    found: dict[str, None] = {}
    for one in objects:
        _find_lists(one, (), found, depth)
    return list(found)


def _find_lists(value: Any, path: Path, found: dict[str, None], depth: int) -> None:  # noqa: ANN401
    if not isinstance(value, dict) or not depth:
        return
    for key, inner in value.items():
        if isinstance(inner, dict):
            _find_lists(inner, (*path, key), found, depth - 1)
        elif isinstance(inner, list) and any(isinstance(one, dict) for one in inner):
            found[".".join((*path, key))] = None
            for one in inner[:LISTED_ELEMENTS]:
                _find_lists(one, (*path, key), found, depth - 1)


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


def read_objects(records: Records, shape: Shape, parse: Parse) -> JsonRows:
    """Read the rows of some records.

    Args:
        records: The records.
        shape: Where the values of their columns are.
        parse: Parser of RFC 8259.
    """
    values = parse_all(records.texts, parse)
    malformed = []
    are_plain = not records.too_long and set(map(type, values)) <= {dict}
    for at, value in enumerate(() if are_plain else values):
        if at in records.too_long or not isinstance(value, dict):
            is_long = at in records.too_long
            reason = Reason.RECORD_TOO_LONG if is_long else Reason.MALFORMED_JSON
            offset = int(records.offsets[at])
            malformed.append((at, Malformed(offset=offset, raw=records.texts[at], reason=reason)))
            values[at] = None
    rows = _Rows(values, shape.lists)
    try:
        columns = [_column(rows, shape, number) for number in range(len(shape.headers))]
    except _LiteralNeededError:
        whole = [
            None if value is None else parse_literally(records.texts[at])
            for at, value in enumerate(values)
        ]
        rows = _Rows(whole, shape.lists)
        columns = [_column(rows, shape, number) for number in range(len(shape.headers))]
    return JsonRows(
        columns=columns,
        record_of=rows.record_of,
        has_level=[np.array([one is not None for one in level]) for level in rows.levels[1:]],
        malformed=malformed,
        unseen=frozenset(
            number
            for number in shape.unseen
            if not _has(rows.levels[shape.places[number].level], shape.places[number].path)
        ),
    )


class _LiteralNeededError(Exception):
    """A number is read as a text: 1.10 is not 1.1."""


class _Rows:
    """Rows of some objects: at each level, the object or element that a row is in."""

    def __init__(self, values: Sequence[Any], lists: Sequence[Path]) -> None:
        kept = [at for at, value in enumerate(values) if value is not None]
        if not lists:
            self.levels: list[list[Any]] = [[values[at] for at in kept]]
            self.record_of = np.array(kept, np.int64)
            return
        found = [(at, row) for at in kept for row in _contexts(values[at], lists)]
        self.levels = [[row[level] for _, row in found] for level in range(len(lists) + 1)]
        self.record_of = np.array([at for at, _ in found], np.int64)


def _column(rows: _Rows, shape: Shape, number: int) -> pa.Array:
    """Read the texts of a column.

    Raises:
        _LiteralNeededError: It is one of texts, and has a number that is no integer.
    """
    place, is_number = shape.places[number], shape.headers[number] in shape.numeric
    cells = rows.levels[place.level]
    for key in place.path:
        cells = _values_of(cells, key)
    decimal = shape.decimal if is_number else "."
    try:
        array = pa.array(cells)
    except (pa.ArrowException, UnicodeEncodeError, TypeError, ValueError, OverflowError):
        return _texts([_text(cell, decimal, is_number=is_number) for cell in cells])
    if pa.types.is_floating(array.type) and not is_number:
        raise _LiteralNeededError
    if pa.types.is_nested(array.type) or decimal != ".":
        return _texts([_text(cell, decimal, is_number=is_number) for cell in cells])
    return array.cast(pa.string())


def _values_of(cells: Sequence[Any], key: str) -> list[Any]:
    """Take the value of a key from each object; None from one without it, and from others."""
    try:
        return list(map(itemgetter(key), cells))
    except (KeyError, TypeError):
        return [cell.get(key) if type(cell) is dict else None for cell in cells]


def _text(cell: Any, decimal: str, *, is_number: bool) -> str | None:  # noqa: ANN401
    """Write a value as a text; None where there is none."""
    if cell is None or type(cell) is str:
        return cell
    if type(cell) is float:
        if not is_number:
            raise _LiteralNeededError
        cell = Number(repr(cell))
    if isinstance(cell, Number):
        return cell.replace(".", decimal) if is_number else str(cell)
    # Booleans are true and false, lists and objects as they are written.
    return json.dumps(cell, ensure_ascii=False)


def _texts(cells: list[str | None]) -> pa.Array:
    try:
        return pa.array(cells, pa.string())
    except UnicodeEncodeError:  # bytes that are not UTF-8
        encoded = [None if one is None else one.encode("utf-8", "surrogateescape") for one in cells]
        return pa.array(encoded, pa.binary())


def _has(contexts: Sequence[Any], path: Path) -> bool:
    """Whether some object has a path; a null on the way to it says that it is there."""
    return any(_leads(one, path) for one in contexts)


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
