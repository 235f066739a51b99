"""A sample of objects of JSON: the list whose elements are the rows, and the paths of values."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from kpi.inference.headers import meaning_of
from kpi.inference.samples import TableSample
from kpi.json.columns import Path, SamplePaths, Shape

MAX_LIST_DEPTH = 4
"""Lists within each other that are looked at."""

LISTED_OBJECTS = 1_000
"""Objects that lists are looked for in."""

LINE_CONCEPTS = ("product", "quantity", "price", "total", "line", "category")
"""What the keys of an order's line may mean."""


def sample_objects(
    name: str, match: str, objects: Sequence[Any], *, whole: bool, max_rows: int
) -> TableSample | None:
    """Make a sample of objects; each element of the list that looks like lines is a row.

    Args:
        name: Path below the input.
        match: Pattern of `[[files]]` that takes the file.
        objects: Of its beginning.
        whole: Whether these are all of its objects.
        max_rows: Rows of a sample.
    """
    lists = _lists(objects[:LISTED_OBJECTS], ())
    each = _list_of_lines(lists)
    paths = SamplePaths(objects, each)
    headers = paths.headers()
    for header in _containers(objects[:LISTED_OBJECTS], paths):
        headers.pop(header, None)
    rows: list[list[str]] = []
    for context in paths.rows(objects):
        rows.append([text_of(context[place.level], place.path) for place in headers.values()])
        if len(rows) >= max_rows:
            break
    if not headers or not rows:
        return None
    return TableSample(
        name=name,
        match=match,
        headers=tuple(headers),
        columns=tuple(zip(*rows, strict=True)),
        words={"each": ".".join(each)} if each else {},
        unread=tuple(".".join(one) for one in lists if each[: len(one)] != one),
        whole=whole and len(rows) < max_rows,
        rows_total=len(rows),
    )


def shape_of(objects: Sequence[Any], sample: TableSample) -> Shape:
    """Say where the values of a sample's columns are in the objects of its file."""
    each = tuple(str(sample.words.get("each", "")).split(".")) if "each" in sample.words else ()
    paths = SamplePaths(objects, each)
    places = paths.headers()
    return Shape(
        headers=sample.headers,
        places=tuple(places[one] for one in sample.headers),
        lists=paths.lists,
        numeric=frozenset(sample.headers),
    )


def _list_of_lines(lists: Mapping[Path, Collection[str]]) -> Path:
    """Find the list whose elements are most like lines, the deeper of equals; empty for none."""
    best: float = 0.0
    each: Path = ()
    for path, keys in lists.items():
        known = sum(meaning_of(key).has(*LINE_CONCEPTS) for key in keys)
        score = known + 0.1 * len(path)
        if known and score > best:
            best, each = score, path
    return each


def _lists(values: Sequence[Any], path: Path) -> dict[Path, set[str]]:
    """Find the lists of objects below some values, and the keys of their elements."""
    found: dict[Path, set[str]] = {}
    for value in values:
        for at, elements in _lists_of(value, path):
            keys = found.setdefault(at, set())
            for one in elements:
                keys |= {".".join(inner) for inner in _keys(one)}
            for inner, names in _lists(elements, at).items():
                found.setdefault(inner, set()).update(names)
    return found


def _lists_of(value: Any, path: Path) -> Iterator[tuple[Path, list[Any]]]:  # noqa: ANN401
    if not isinstance(value, dict) or len(path) > MAX_LIST_DEPTH:
        return
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from _lists_of(inner, (*path, key))
        elif isinstance(inner, list):
            elements = [one for one in inner if isinstance(one, dict)]
            if elements:
                yield (*path, key), elements


def _containers(objects: Sequence[Any], paths: SamplePaths) -> set[str]:
    """Name the paths whose values are objects and lists, whose own values have paths too."""
    found = set()
    for context in paths.rows(objects):
        for header, place in paths.headers().items():
            value = context[place.level]
            for key in place.path:
                value = value.get(key) if isinstance(value, dict) else None
            if isinstance(value, dict | list):
                found.add(header)
    return found


def _keys(value: Any) -> Iterator[Path]:  # noqa: ANN401
    for key, inner in value.items():
        if isinstance(inner, dict):
            yield from ((key, *rest) for rest in _keys(inner))
        elif not isinstance(inner, list):
            yield (key,)


def text_of(value: object, path: Sequence[str]) -> str:
    """Write the value at a path as a text; empty where there is none."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if value is None or isinstance(value, list | dict):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip()
