"""What identifies a line: a column, its order and a number, its order alone, or its file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from kpi.inference.states import find_deletions
from kpi.inference.structure import Structure
from kpi.inference.values import Column


@dataclass(frozen=True, kw_only=True)
class LineKey:
    """Key of [order_items].

    Attributes:
        value: As the contract has it.
        columns: Name in the contract and column of each part.
        note: Evidence.
    """

    value: str | tuple[str, ...]
    columns: tuple[tuple[str, Column], ...] = ()
    note: str = ""


def line_key(structure: Structure) -> LineKey:
    """Find what identifies a line; what is unique in the data and meant as a key comes first."""
    lines = structure.lines
    rows = lines.rows
    if structure.is_flat and structure.order_id.is_key:
        return LineKey(
            value="order_id",
            columns=(("order_id", structure.order_id),),
            note=f"each of {rows} rows has an order of its own",
        )
    if structure.are_repeated and structure.product is not None:
        return LineKey(
            value=("order_id", "product_id"),
            columns=(("order_id", structure.line_order), ("product_id", structure.product)),
            note="a line stands in several rows, as answered",
        )
    taken = {id(structure.order_id), id(structure.line_order), id(structure.product)}
    others = [one for one in lines.columns if id(one) not in taken]
    for column in others:
        if column.kind not in ("integer", "text") or not _names_a_line(column):
            continue
        if column.is_key:
            return LineKey(value="id", columns=(("id", column),), note=f"unique in {rows} rows")
        if _comes_again(column, structure):
            note = f"of {rows} rows; the same line comes again in later files or changes"
            return LineKey(value="id", columns=(("id", column),), note=note)
    for column in others:
        if column.kind == "integer" and _numbers_lines(column, structure):
            return LineKey(
                value=("order_id", "line"),
                columns=(("order_id", structure.line_order), ("line", column)),
                note=f"together unique in {rows} rows",
            )
    return _by_files(structure)


def _comes_again(column: Column, structure: Structure) -> bool:
    """Whether rows of one value are of one line, in later files or as its changes."""
    orders = structure.line_order.cells
    if column.fill_share < 1.0:
        return False
    if len(set(zip(column.cells, orders, strict=True))) > len(column.distinct):
        return False
    if find_deletions(structure.lines) is not None:
        return True
    start = 0
    for _, count in structure.lines.sample.parts:
        if len(set(column.cells[start : start + count])) < count:
            return False
        start += count
    return start == len(column.cells)


def _names_a_line(column: Column) -> bool:
    """Whether a header names the line itself: `order_item_id`, or `id` in the table of lines."""
    meaning = column.meaning
    if meaning.has("customer", "other_entity", "date", "contact", "status"):
        return False
    if meaning.concepts == {"id"}:
        return True
    if not column.has_headers:
        return column.index == 0
    return ("id" in meaning and meaning.has("line", "order")) or "line" in meaning


def _numbers_lines(column: Column, structure: Structure) -> bool:
    """Whether a column numbers the lines of each order."""
    meaning = column.meaning
    if "line" not in meaning or meaning.has("quantity", "price", "total", "discount"):
        return False
    pairs = set(zip(structure.line_order.cells, column.cells, strict=True))
    return column.fill_share == 1.0 and len(pairs) == len(column.cells)


def _by_files(structure: Structure) -> LineKey:
    """Choose between an order's latest file and all files that have it."""
    parts = structure.lines.sample.parts
    if len(parts) < 2:
        return LineKey(value="order", note="no column is unique: an order's lines come together")
    shared, alike = _overlap(structure, parts)
    if not shared:
        return LineKey(value="order", note=f"no order has lines in two of the {len(parts)} files")
    if alike >= shared / 2:
        note = f"{alike} of {shared} orders in two files have the same lines in both"
        return LineKey(value="order", note=note)
    note = f"{shared - alike} of {shared} orders in two files have other lines in each"
    return LineKey(value="row", note=note)


def _overlap(structure: Structure, parts: Sequence[tuple[str, int]]) -> tuple[int, int]:
    """Count the orders that two files have, and those whose lines are the same in both."""
    of_file: list[dict[str, Counter[tuple[str, ...]]]] = []
    start = 0
    columns = structure.lines.columns
    for _, rows in parts:
        found: dict[str, Counter[tuple[str, ...]]] = {}
        for at in range(start, start + rows):
            key = structure.line_order.cells[at]
            line = tuple(one.cells[at] for one in columns)
            found.setdefault(key, Counter())[line] += 1
        of_file.append(found)
        start += rows
    known: dict[str, list[Counter[tuple[str, ...]]]] = {}
    for one in of_file:
        for key, lines in one.items():
            known.setdefault(key, []).append(lines)
    several = [one for one in known.values() if len(one) > 1]
    return len(several), sum(all(one == each[0] for one in each) for each in several)
