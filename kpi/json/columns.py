"""Objects of JSON to columns of texts, by the paths that a contract names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
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

MISSING = object()

Path = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Where the values of a file's columns are.

    Attributes:
        headers: Columns, as the contract names them.
        paths: Of each, the keys that lead to it.
        of_element: Whether the path begins at an element of `each`, not at the object.
        each: Keys that lead to the list whose elements are the rows; empty where objects are.
        numeric: Columns of numbers; elsewhere a number is kept as it is written.
        decimal: Mark before the decimals that columns of numbers get.
        unseen: Columns that no record so far had, by number.
    """

    headers: tuple[str, ...]
    paths: tuple[Path, ...]
    of_element: tuple[bool, ...]
    each: Path
    numeric: frozenset[str] = frozenset()
    decimal: str = "."
    unseen: frozenset[int] = frozenset()

    @property
    def element_headers(self) -> frozenset[str]:
        """Folded headers whose values are those of an element."""
        pairs = zip(self.headers, self.of_element, strict=True)
        return frozenset(header_form(header) for header, inside in pairs if inside)


@dataclass(frozen=True, kw_only=True)
class JsonRows:
    """Rows of some records.

    Attributes:
        columns: Cells by column.
        record_of: Of each row, the position of its record.
        has_element: Where a row is an element of `each`; all where nothing is asked for.
        malformed: Records that cannot be read, and their positions.
        unseen: Columns that these records do not have either.
    """

    columns: list[pa.Array]
    record_of: Positions
    has_element: Mask
    malformed: list[tuple[int, Malformed]]
    unseen: frozenset[int]


def find_paths(objects: Iterable[Any], each: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Find the paths of some objects by their folded, dotted names: of objects, of elements."""
    of_object: dict[str, Path] = {}
    of_element: dict[str, Path] = {}
    for one in objects:
        _walk(one, (), of_object)
        for element in _elements(one, each) if each else ():
            _walk(element, (), of_element)
    return of_object, of_element


def _walk(value: Any, path: Path, found: dict[str, Path]) -> None:  # noqa: ANN401
    if not isinstance(value, dict) or len(path) >= MAX_DEPTH or len(found) >= MAX_PATHS:
        return
    for key, inner in value.items():
        found.setdefault(header_form(".".join((*path, key))), (*path, key))
        _walk(inner, (*path, key), found)


def locate(
    header: str, each: Path, of_object: dict[str, Path], of_element: dict[str, Path]
) -> tuple[Path, bool, bool]:
    """Find a header: (its path, whether it begins at an element, whether the sample has it).

    A header is looked for in the object, then behind the path of `each`, then in the element.
    """
    form = header_form(header)
    prefix = header_form(".".join(each)) + "."
    if each and form.startswith(prefix):
        inner = form[len(prefix) :]
        path = of_element.get(inner)
        return path or tuple(header.split(".")[len(each) :]), True, path is not None
    if form in of_object:
        return of_object[form], False, True
    if form in of_element:
        return of_element[form], True, True
    return tuple(header.split(".")), False, False


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


def _elements(value: Any, each: Path) -> Iterator[Any]:  # noqa: ANN401
    """Yield the elements of a list; lists on the way to it are gone through too."""
    if isinstance(value, list):
        for one in value:
            yield from _elements(one, each)
    elif not each:
        if value is not None:
            yield value
    elif isinstance(value, dict):
        yield from _elements(value.get(each[0]), each[1:])


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
        self._has_element: list[bool] = []
        self._malformed: list[tuple[int, Malformed]] = []
        self._unseen = set(shape.unseen)
        columns = [
            _Column(number, path, header in shape.numeric)
            for number, (header, path) in enumerate(zip(shape.headers, shape.paths, strict=True))
        ]
        self._of_object = [one for one in columns if not shape.of_element[one.number]]
        self._of_element = [one for one in columns if shape.of_element[one.number]]

    def reject(self, at: int, record: Record, reason: Reason) -> None:
        self._malformed.append(
            (at, Malformed(offset=record.offset, raw=record.data, reason=reason))
        )

    def add(self, at: int, value: dict[str, Any]) -> None:
        """Add the rows of an object.

        Raises:
            _LiteralNeededError: They hold a number that must be read as it is written; none is
                added.
        """
        for number in [one for one in self._unseen if self._has(value, one)]:
            self._unseen.discard(number)
        outer = [(one.number, self._cell(value, one)) for one in self._of_object]
        rows: list[list[tuple[int, str | None]]] = []
        for element in _elements(value, self._shape.each) if self._shape.each else ():
            cells = element if isinstance(element, dict) else {}
            rows.append([(one.number, self._cell(cells, one)) for one in self._of_element])
        has_element = bool(rows) or not self._shape.each
        for row in rows or [[(one.number, None) for one in self._of_element]]:
            self._record_of.append(at)
            self._has_element.append(has_element)
            for number, text in (*outer, *row):
                self._cells[number].append(text)

    def _has(self, value: dict[str, Any], number: int) -> bool:
        """Whether an object has the keys of a column; a null on the way says that it has."""
        inner = _elements(value, self._shape.each) if self._shape.of_element[number] else [value]
        return any(_leads(one, self._shape.paths[number]) for one in inner)

    def _cell(self, value: Any, column: _Column) -> str | None:  # noqa: ANN401
        """Read the text of a column; None where there is none."""
        for key in column.path:
            if value is None:
                break
            value = value.get(key, MISSING) if isinstance(value, dict) else MISSING
        if value is None or value is MISSING:
            return None
        if type(value) is str:
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
            has_element=np.array(self._has_element, bool),
            malformed=self._malformed,
            unseen=frozenset(self._unseen),
        )


def _leads(value: object, path: Path) -> bool:
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
