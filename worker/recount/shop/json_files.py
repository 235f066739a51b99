"""Files of JSON: objects, and the lists in them, as records."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.recount.shop.contract import Entry, Shop
from worker.recount.shop.numbers import NumberText
from worker.recount.shop.texts import (
    NotCountedError,
    OpenText,
    Record,
    RefusedError,
    Table,
    decode,
    wanted_headers,
)
from worker.recount.values import fold

MAX_DEPTH = 16
"""Objects within each other in which headers are looked for."""

Path = tuple[str, ...]
Cells = dict[str, Any]
"""Folded, dotted path -> value."""


def looks_like_json(head: bytes) -> bool:
    """Return whether a text begins as an object or a list of objects does."""
    return re.match(rb'\s*(?:\{\s*["}]|\[\s*[\]{])', head) is not None


def read_json_table(shop: Shop, entries: Sequence[Entry], path: str, open_text: OpenText) -> Table:
    """Read a file of JSON.

    Args:
        shop: Contract.
        entries: Those that may take the file, in order.
        path: Of the file.
        open_text: Returns the blocks of the file, from the first.

    Raises:
        RefusedError: No entry fits.
        NotCountedError: An object in a list is no JSON.
    """
    objects = _Objects(open_text, shop.max_record_bytes)
    for entry in entries:
        shape = _Shape(objects, entry.each)
        if not all(shape.has(header) for header in entry.known_by):
            continue
        wanted = wanted_headers(shop, entry)
        if not all(any(map(shape.has, headers)) for headers in wanted):
            raise RefusedError("a path that no object has")
        headers = {header for headers in wanted for header in headers if shape.has(header)}
        return Table(
            entry=entry,
            names=shop.names_in(entry, path),
            headers=frozenset(headers | shape.paths[0]),
            records=shape.records(headers),
            levels={header: shape.locate(header)[0] for header in headers},
            dates=entry.dates,
        )
    raise RefusedError("no entry of [[files]] fits the paths")


@dataclass(frozen=True)
class _Objects:
    """Objects of a file, again and again; None for one that cannot be read."""

    open_text: OpenText
    max_record_bytes: int

    def __iter__(self) -> Iterator[dict[str, Any] | None]:
        blocks = decode(self.open_text(), None)
        head = next(blocks, b"")
        first_line, newline, _ = head.lstrip().partition(b"\n")
        if head.lstrip().startswith(b"[") or (newline and not first_line.rstrip().endswith(b"}")):
            return _objects_over_lines(b"".join([head, *blocks]))
        return self._lines(head, blocks)

    def _lines(self, head: bytes, blocks: Iterable[bytes]) -> Iterator[dict[str, Any] | None]:
        """Read each line as an object: JSON Lines."""
        rest = head
        for block in blocks:
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            yield from filter(_is_record, map(self._object, lines))
        yield from filter(_is_record, map(self._object, rest.split(b"\n")))

    def _object(self, line: bytes) -> dict[str, Any] | None:
        if not line.strip():
            return _NO_RECORD
        if len(line.strip()) > self.max_record_bytes:
            return None
        try:
            value = _DECODER.decode(line.decode("utf-8", "surrogateescape").strip())
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


_NO_RECORD: dict[str, Any] = {"": None}
"""What a blank line is."""


def _is_record(value: dict[str, Any] | None) -> bool:
    return value is not _NO_RECORD


def _no_constant(name: str) -> None:
    raise ValueError(name)


_DECODER = json.JSONDecoder(
    parse_float=NumberText, parse_int=NumberText, parse_constant=_no_constant
)


def _objects_over_lines(data: bytes) -> Iterator[dict[str, Any] | None]:
    """Read a list of objects, or objects one after the other."""
    text = data.decode("utf-8", "surrogateescape")
    at = 0
    while (start := text.find("{", at)) >= 0:
        try:
            value, at = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            raise NotCountedError("a list of JSON with an object that cannot be read") from error
        yield value


class _Shape:
    """Where the values of a file are.

    Attributes:
        paths: For each level, the object and the lists in it, the folded paths that it has.
    """

    def __init__(self, objects: _Objects, each: Path) -> None:
        self._objects = objects
        self._lists = _lists_on(objects, each)
        self.paths: list[set[str]] = [set() for _ in range(len(self._lists) + 1)]
        for one in objects:
            for contexts in _contexts(one, self._lists) if one is not None else ():
                for known, context in zip(self.paths, contexts, strict=True):
                    known.update(_flat(context))

    def locate(self, header: str) -> tuple[int, str]:
        """Find a header: its level, and its path from there.

        It is looked for behind the whole path of a list, then in the object, then inwards.
        """
        form = fold(header)
        for level in range(len(self._lists), 0, -1):
            prefix = fold(".".join(key for path in self._lists[:level] for key in path)) + "."
            if form.startswith(prefix):
                return level, form[len(prefix) :]
        return next((level for level, known in enumerate(self.paths) if form in known), 0), form

    def has(self, header: str) -> bool:
        """Return whether some object has a header."""
        level, path = self.locate(header)
        return path in self.paths[level]

    def records(self, headers: Iterable[str]) -> Iterator[Record]:
        """Yield each element of the last list, with what it is in."""
        places = {header: self.locate(header) for header in headers}
        for one in self._objects:
            if one is None:
                yield Record(None)
                continue
            for contexts in _contexts(one, self._lists):
                levels = [_flat(context) for context in contexts]
                cells = {path: _text(value) for path, value in levels[0].items()}
                cells |= {
                    header: _text(levels[level].get(path))
                    for header, (level, path) in places.items()
                }
                yield Record(cells, sum(context is not None for context in contexts[1:]))


def _lists_on(objects: _Objects, each: Path) -> list[Path]:
    """Divide a path behind each key whose value is a list in some object."""
    are_lists = [False] * len(each)
    for one in objects:
        values: list[Any] = [one]
        for at, key in enumerate(each):
            values = [value.get(key) for value in values if isinstance(value, dict)]
            are_lists[at] |= any(isinstance(value, list) for value in values)
            values = [inner for value in values for inner in _elements(value)]
    lists: list[Path] = []
    begun: Path = ()
    for key, is_list in zip(each, are_lists, strict=True):
        begun = (*begun, key)
        if is_list:
            lists.append(begun)
            begun = ()
    return [*lists, begun] if begun else lists


def _elements(value: object) -> list[Any]:
    """Return the elements of a list; what is no list is its own element."""
    listed = value if isinstance(value, list) else [value]
    return [one for one in listed if one is not None]


def _contexts(value: object, lists: Sequence[Path]) -> list[tuple[Any, ...]]:
    """Pair each element of the last list with those that it is in; None where a list is empty."""
    if not lists:
        return [(value,)]
    inner = value
    for key in lists[0]:
        inner = inner.get(key) if isinstance(inner, dict) else None
    found = [row for one in _elements(inner) for row in _contexts(one, lists[1:])]
    return [(value, *row) for row in found or [(None,) * len(lists)]]


def _flat(value: object, path: Path = ()) -> Cells:
    """Return the values of an object and of the objects in it, by their paths."""
    found: Cells = {}
    if isinstance(value, dict) and len(path) < MAX_DEPTH:
        for key, inner in value.items():
            found[fold(".".join((*path, key)))] = inner
            found |= _flat(inner, (*path, key))
    return found


def _text(value: object) -> str | None:
    """Write a value as a text; numbers as they are written."""
    if value is None or isinstance(value, str):
        return value
    return _literal(value)


def _literal(value: object) -> str:
    if isinstance(value, NumberText):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_literal(k)}: {_literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
