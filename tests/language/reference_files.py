"""Reading for the reference of contract language 2: files to rows as dicts.

It shares no code with the product.

Files are CSV in UTF-8; a contract is the parsed TOML. Whatever a rule says is done here in the
plainest way, without regard to speed.
"""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from tests.language.files import File

Row = dict[str, Any]
Doc = dict[str, Any]

KEYS = {"orders": ["order_id"], "products": ["id"]}
REQUIRED = {"orders": ["order_id", "created_at"], "order_items": ["order_id"], "products": ["id"]}
MONEY = ("unit_price", "before_discount", "discount", "after_discount")
DECIMALS = {
    *("discount", "refund", "total", "quantity", "rate", "unit_price", "before_discount"),
    *("discount_rate", "discount_percent", "after_discount", "amount", "price"),
}
PLACES = {"quantity": 3, "rate": 10, "discount_rate": 10, "discount_percent": 10}


class RefusedError(Exception):
    """The file is refused as a whole."""


@dataclass
class Counts:
    """Rows of a file for one dataset."""

    clean: int = 0
    rejected: int = 0
    passed_over: int = 0


@dataclass
class Shop:
    """What all files come to."""

    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    categories: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    counts: dict[tuple[str, str], Counts] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)


def half_even(number: Fraction, places: int) -> Decimal:
    """Round to decimal places."""
    step = Fraction(1, 10**places)
    return (Decimal(round(number / step))).scaleb(-places)


def fold(text: str | None) -> str:
    return (text or "").strip().casefold()


def one(pattern: str, cell: str) -> bool:
    """Whether a folded cell has a plain pattern."""
    wanted = fold(pattern)
    if wanted in ("<0", ">0"):
        try:
            number = Decimal(cell)
        except ArithmeticError:
            return False
        return number < 0 if wanted == "<0" else number > 0
    if wanted == "*":
        return cell != ""
    return re.fullmatch(".*".join(map(re.escape, wanted.split("*"))), cell, re.DOTALL) is not None


def holds(conditions: Any, row: Row) -> bool:
    """Whether one of some conditions holds."""
    for condition in conditions if isinstance(conditions, list) else [conditions]:
        every = True
        for column, texts in condition.items():
            listed = texts if isinstance(texts, list) else [texts]
            cell = fold(shown(row.get(column)))
            plain = [text for text in listed if not text.startswith("!")]
            negated = [text[1:] for text in listed if text.startswith("!")]
            every &= not plain or any(one(text, cell) for text in plain)
            every &= not any(one(text, cell) for text in negated)
        if every:
            return True
    return False


def shown(value: object) -> str | None:
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return None if value is None else str(value)


def number(text: str, example: str, places: int) -> Decimal:
    """Read a number in the form of an example of 1234.5; round to places."""
    found = re.fullmatch(r"1(\D?)234(\D)50*", example)
    assert found
    group, point = found[1], found[2]
    sign = 1
    if text.startswith("(") and text.endswith(")"):
        sign, text = -1, text[1:-1]
    if text[:1] in "+-":
        sign, text = (-sign if text[0] == "-" else sign), text[1:]
    whole, _, fraction = text.partition(point)
    if group and group in whole:
        if not re.fullmatch(
            rf"\d{{1,3}}({re.escape(group)}\d{{2,3}})*{re.escape(group)}\d{{3}}", whole
        ):
            raise ValueError(text)
        whole = whole.replace(group, "")
    if (
        not re.fullmatch(r"\d*", whole)
        or not re.fullmatch(r"\d*", fraction)
        or not whole + fraction
    ):
        raise ValueError(text)
    return sign * half_even(Fraction(Decimal(f"{whole or 0}.{fraction or 0}")), places)


def moment(text: str, examples: list[str]) -> datetime:
    """Read a date in the form of an example of the last day of 2025."""
    for example in examples:
        form = example
        if form == "iso":
            try:
                return datetime.fromisoformat(text.replace(" UTC", "+00:00"))
            except ValueError:
                continue
        for part, directive in (
            ("2025", "%Y"),
            ("31", "%d"),
            ("12", "%m"),
            ("23", "%H"),
            ("59:59", "%M:%S"),
            ("59", "%M"),
        ):
            form = form.replace(part, directive)
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    raise ValueError(text)


def steps(spec: Any) -> list[str]:
    via = spec.get("via", []) if isinstance(spec, dict) else []
    return [via] if isinstance(via, str) else via


def headers_of(spec: Any) -> list[str]:
    if isinstance(spec, str):
        return [spec]
    found = spec.get("from", [])
    return [*([found] if isinstance(found, str) else found), *spec.get("join", [])]


def matches(pattern: str, name: str) -> dict[str, str] | None:
    expression = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+?)", re.escape(pattern)).replace(
        r"\*", ".*"
    )
    tail = name if "/" in pattern else name.rsplit("/", 1)[-1]
    found = re.fullmatch(expression, tail) or re.fullmatch(".*/" + expression, tail)
    return found.groupdict() if found else None


class FileReader:
    """One contract and its files."""

    def __init__(self, contract: Doc, files: list[File]) -> None:
        self.doc = contract
        self.files: list[File] = []
        last: dict[str, str] = {}
        for file in sorted(files, key=lambda file: (file.second, file.name)):
            # Equal bytes under one name that follow on each other count as their first.
            if last.get(file.name) != file.text:
                self.files.append(file)
            last[file.name] = file.text
        self.shop = Shop()
        # dataset -> (file number, file name, row number, row)
        self.rows: dict[str, list[tuple[int, str, int, Row]]] = defaultdict(list)
        self.replaced: dict[tuple[int, str], int] = {}

    def datasets(self) -> list[str]:
        return [
            name for name in ("orders", "order_items", "refunds", "products") if name in self.doc
        ]

    def columns(self, name: str) -> dict[str, Any]:
        if name in self.doc.get("references", {}):
            reference = self.doc["references"][name]
            keys = reference["key"] if isinstance(reference["key"], list) else [reference["key"]]
            found: dict[str, Any] = {key: {"from": key, "required": True} for key in keys}
            if "valid_from" in reference:
                found[reference["valid_from"]] = {"from": reference["valid_from"], "required": True}
            for dataset in self.datasets():
                for column in self.columns(dataset).values():
                    for step in steps(column):
                        if step.split(".", 1)[0] == name:
                            found.setdefault(step.split(".", 1)[1], step.split(".", 1)[1])
            return found
        columns: dict[str, Any] = self.doc[name]["columns"]
        return columns

    # ---- files to rows

    def read(self) -> None:
        for at, file in enumerate(self.files):
            entry = next(
                (e for e in self.doc["files"] if matches(e["match"], file.name) is not None), None
            )
            if entry is None:
                self.shop.refused.add(file.name)
                continue
            try:
                kept = self.rows_of(entry, file)
            except RefusedError:
                self.shop.refused.add(file.name)
                continue
            for name, rows in kept.items():
                counts = Counts()
                for place, row in rows:
                    if row is None:
                        counts.passed_over += 1
                    elif row.get("__bad"):
                        counts.rejected += 1
                    else:
                        counts.clean += 1
                        self.rows[name].append((at, file.name, place, row))
                self.shop.counts[file.name, name] = counts

    def rows_of(self, entry: Doc, file: File) -> dict[str, list[tuple[int, Row | None]]]:
        delimiter = entry.get("delimiter", ",")
        plain = entry.get("quote", '"') == ""
        records = [
            record
            for record in csv.reader(
                io.StringIO(file.text, newline=""),
                delimiter=delimiter,
                quoting=csv.QUOTE_NONE if plain else csv.QUOTE_MINIMAL,
            )
            if any(cell.strip() for cell in record)
        ]
        records = [r for r in records if not delimiter.join(r).strip().lower().startswith("sep=")]
        if "columns" in entry:
            headers = entry["columns"]
        else:
            begins = fold(entry.get("begins"))
            while records and begins and begins not in map(fold, records[0]):
                records.pop(0)
            if not records:
                raise RefusedError
            headers = records.pop(0)
        folded = [fold(header) for header in headers]
        places = matches(entry["match"], file.name) or {}
        blanks = {fold(word) for word in entry.get("blanks", [])}
        raw: list[Row] = []
        for record in records:
            if record == headers:
                continue
            cells: Row = {f"{{{name}}}": text for name, text in places.items()}
            for header, cell in zip(folded, record, strict=True):
                text = cell.strip()
                cells[header] = None if text == "" or fold(text) in blanks else text
            raw.append(cells)
        return {name: self.dataset_rows(entry, name, raw, file) for name in entry["feeds"]}

    def dataset_rows(
        self, entry: Doc, name: str, raw: list[Row], file: File
    ) -> list[tuple[int, Row | None]]:
        only = entry.get("only", {}).get(name)
        form = entry.get("numbers", "1234.50")
        taken = [self.passes(only, cells, form) for cells in raw]
        cells_of = self.filled(entry, name, [c for c, t in zip(raw, taken, strict=True) if t])
        rows: list[tuple[int, Row | None]] = []
        signs: dict[str, set[bool]] = defaultdict(set)
        left = iter(cells_of)
        for place, keep in enumerate(taken):
            rows.append((place, self.row(entry, name, next(left), signs, file) if keep else None))
        if any(len(both) > 1 for both in signs.values()):
            raise RefusedError
        return rows

    @staticmethod
    def passes(only: Any, cells: Row, form: str) -> bool:
        if only is None:
            return True
        folded = {}
        for condition in only if isinstance(only, list) else [only]:
            for column, texts in condition.items():
                value = cells.get(column if column.startswith("{") else fold(column))
                if any(
                    t.lstrip("!") in ("<0", ">0")
                    for t in (texts if isinstance(texts, list) else [texts])
                ):
                    with contextlib.suppress(ValueError):
                        value = number(value, form, 4) if value else value
                folded[column] = value
        return holds(only, folded)

    def filled(self, entry: Doc, name: str, rows: list[Row]) -> list[Row]:
        """Rule 6."""
        if "fill" not in entry or name not in ("orders", "products"):
            return rows
        group = fold(entry["fill"])
        free, kept = set(), set()
        for dataset in entry["feeds"]:
            for column, spec in self.columns(dataset).items():
                headers = {fold(h) for h in headers_of(spec)}
                if dataset in ("orders", "products") and column not in KEYS[dataset]:
                    free |= headers
                else:
                    kept |= headers
        seen: set[str] = set()
        found: list[Row] = []
        for cells in rows:
            value = cells[group]
            above = found[-1] if found and value is not None and found[-1][group] == value else None
            if above is None and value is not None:
                if value in seen:
                    raise RefusedError
                seen.add(value)
            filled = dict(cells)
            if above is not None:
                for header in free - kept:
                    if header in filled and filled[header] is None:
                        filled[header] = above[header]
            found.append(filled)
        return found

    def row(
        self, entry: Doc, name: str, cells: Row, signs: dict[str, set[bool]], file: File
    ) -> Row:
        """One row of one dataset; `__bad` where it is a reject."""
        dataset = self.doc.get(name, {})
        version = dataset.get("version")
        key = self.key(name)
        row: Row = {}
        texts: Row = {}
        for column, spec in self.columns(name).items():
            texts[column] = self.text(entry, cells, spec)
        deleting = "deleted" in dataset and holds(dataset["deleted"], texts)
        needed = {*(key if isinstance(key, list) else []), version}
        bad = False
        for column, spec in self.columns(name).items():
            text, value = texts[column], None
            try:
                value = self.typed(entry, name, column, spec, text, signs, version)
            except ValueError:
                bad |= not deleting or column in needed
            required = (
                column in REQUIRED.get(name, [])
                or column in needed - {version}
                or (isinstance(spec, dict) and spec.get("required", False))
            )
            if text is None and required and (not deleting or column in needed):
                bad = True
            row[column] = value
        dated = {"orders": "created_at", "refunds": "created_at"}.get(name)
        dated = dated or self.doc.get("references", {}).get(name, {}).get("valid_from")
        if isinstance(row.get(dated or ""), datetime):
            row["__day"] = self.day(row[dated])
            if name == "orders" and not deleting:
                last = datetime.fromtimestamp(0) + timedelta(seconds=file.second)
                limit = (
                    date.fromisoformat(self.doc["not_after"]) if "not_after" in self.doc else None
                )
                first = date.fromisoformat(str(self.doc.get("not_before", "2000-01-01")))
                assert limit, last
                bad |= not first <= row["__day"] <= limit
        row["__deleting"] = deleting
        row["__bad"] = bad
        return row

    def text(self, entry: Doc, cells: Row, spec: Any) -> str | None:
        if isinstance(spec, str):
            return cells.get(fold(spec)) if not spec.startswith("{") else cells[spec]
        if "join" in spec:
            parts = [cells.get(h if h.startswith("{") else fold(h)) for h in spec["join"]]
            text = None if any(p is None for p in parts) else " ".join(parts)  # type: ignore[arg-type]
        else:
            text = None
            for header in headers_of(spec):
                place = header if header.startswith("{") else fold(header)
                if place in cells:
                    text = cells[place]
                    break
        if text is not None and fold(text) in {fold(word) for word in spec.get("blanks", [])}:
            text = None
        if "when" in spec and not self.passes(spec["when"], cells, entry.get("numbers", "1234.50")):
            text = None
        return text

    def typed(
        self,
        entry: Doc,
        name: str,
        column: str,
        spec: Any,
        text: str | None,
        signs: dict[str, set[bool]],
        version: str | None,
    ) -> Any:
        if text is None:
            return None
        looked_up = bool(steps(spec))
        if looked_up:
            return text
        if column == "created_at" or column == self.doc.get("references", {}).get(name, {}).get(
            "valid_from"
        ):
            return moment(text, entry.get("dates", ["iso"]))
        if column == version:
            if re.fullmatch("-?[0-9]+", text):
                return int(text)
            return int(self.instant(moment(text, entry.get("dates", ["iso"]))).timestamp() * 10**6)
        if name in self.doc.get("references", {}):
            return text
        if (column in DECIMALS and name != "products") or (name, column) == ("products", "price"):
            value = number(text, entry.get("numbers", "1234.50"), PLACES.get(column, 4))
            if column in ("discount", "refund", "amount"):
                if value:
                    signs[column].add(value < 0)
                value = abs(value)
            return value
        if isinstance(spec, dict) and spec.get("type") == "integer":
            found = re.fullmatch(r"\+?(-?)0*(\d+)(\.0*)?", text)
            if not found:
                raise ValueError(text)
            return found[1] + found[2]
        return text

    def instant(self, when: datetime) -> datetime:
        if when.tzinfo is None:
            zone = "UTC" if self.doc["day"] == "as written" else self.doc.get("times", "UTC")
            when = when.replace(tzinfo=ZoneInfo(zone))
        return when

    def day(self, when: datetime) -> date:
        """Rule 22."""
        if self.doc["day"] == "as written":
            return when.date()
        return self.instant(when).astimezone(ZoneInfo(self.doc["day"])).date()

    def key(self, name: str) -> Any:
        if name in KEYS:
            return KEYS[name]
        if name in self.doc.get("references", {}):
            reference = self.doc["references"][name]
            keys = reference["key"] if isinstance(reference["key"], list) else [reference["key"]]
            return [*keys, *([reference["valid_from"]] if "valid_from" in reference else [])]
        key = self.doc[name]["key"]
        return key if isinstance(key, list) or key in ("order", "row") else [key]
