"""Read contract language 2, listing every problem at once."""

from __future__ import annotations

import codecs
import datetime
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, get_args

from kpi.contract.conditions import Condition, Conditions, Patterns, columns_of
from kpi.contract.forms import DateForm, NumberForm
from kpi.contract.model import header_form
from kpi.contract.shop import (
    AS_WRITTEN,
    ROLES,
    FileLayout,
    FilePattern,
    Kind,
    Replaces,
    Shop,
    ShopColumn,
    ShopDataset,
    Via,
)
from kpi.contract.toml_reader import Reader

DELIMITERS = ",;\t|"
"""Delimiters that are recognised by themselves."""

COLUMN_TYPES: Mapping[str, Kind] = {
    "text": "text",
    "integer": "integer",
    "decimal": "money",
    "timestamp": "time",
}
"""Types that a contract may give to a column."""


def read_shop(root: Reader, *, is_time_zone: Callable[[str], bool]) -> Shop:
    """Read the tables of language 2; problems are added to the reader's list.

    Args:
        root: Document of the contract.
        is_time_zone: Tells whether a text is the name of a time zone.
    """
    name, day, times = (
        root.text("name", "contract"),
        root.text("day", ""),
        root.text("times", "UTC"),
    )
    if day != AS_WRITTEN and not is_time_zone(day):
        root.problem("day", f'"{AS_WRITTEN}" or an IANA time zone such as Europe/Berlin', day)
    if not is_time_zone(times):
        root.problem("times", "an IANA time zone such as Europe/Berlin", times)
    if root.has("times") and day == AS_WRITTEN:
        root.problem("times", f'a time zone in `day`: with "{AS_WRITTEN}" no zone is needed', times)
    currency = root.text("currency", "") or None
    if currency is not None and not re.fullmatch("[A-Z]{3}", currency):
        root.problem("currency", "an ISO 4217 code such as EUR", currency)
    datasets: dict[str, ShopDataset] = {}
    for dataset in ROLES:
        if root.has(dataset):
            datasets[dataset] = _dataset(root.table(dataset), dataset)
    references_table = root.table("references")
    layouts = tuple(map(_layout, root.tables("files")))
    references = _references(references_table, datasets)
    shop = Shop(
        name=name,
        day=day,
        times=times,
        currency=currency,
        not_before=_date(root, "not_before") or "2000-01-01",
        not_after=_date(root, "not_after"),
        files=layouts,
        datasets=datasets,
        references=references,
    )
    _check(shop, root.problems)
    return shop


def _date(root: Reader, key: str) -> str | None:
    value = root.value(key)
    if value is None:
        return None
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    try:
        return datetime.date.fromisoformat(str(value)).isoformat()
    except ValueError:
        root.problem(key, "a date such as 2000-01-01", value)
        return None


def _layout(table: Reader) -> FileLayout:
    pattern = FilePattern(text=table.text("match", ""))
    if not pattern.text:
        table.problem("match", "a pattern of file names such as orders*.csv", pattern.text)
    if len(set(pattern.names)) < len(pattern.names):
        table.problem("match", "each {name} once", pattern.text)
    encoding = table.text("encoding", "") or None
    if encoding is not None and not _is_encoding(encoding):
        table.problem("encoding", "an encoding of text such as cp1252", encoding)
    delimiter = table.text("delimiter", "") or None
    if delimiter is not None and (
        len(delimiter) != 1 or delimiter in '"\r\n\0' or delimiter.isalnum()
    ):
        table.problem(
            "delimiter", "one character, not a letter, digit, quote or line end", delimiter
        )
    quote, escape = table.text("quote", '"'), table.text("escape", "")
    if quote not in ("", '"'):
        table.problem("quote", 'a double quote, or "" where quotes are plain characters', quote)
    if escape not in ("", "\\"):
        table.problem("escape", "a backslash", escape)
    only = table.table("only")
    layout = FileLayout(
        match=pattern,
        feeds=table.texts("feeds", ()),
        columns=table.texts("columns", ()),
        delimiter=delimiter,
        quote=quote,
        escape=escape,
        encoding=encoding,
        numbers=_numbers(table),
        dates=_dates(table),
        minor_units=table.boolean("minor_units", default=False),
        blanks=tuple(map(header_form, table.texts("blanks", ()))),
        replaces=table.choice("replaces", get_args(Replaces), "rows"),
        begins=table.text("begins", "") or None,
        fill=table.text("fill", "") or None,
        only={name: _conditions(only, name) for name in only.names()},
    )
    if not layout.feeds:
        table.problem("feeds", "a list of datasets or references", list(layout.feeds))
    for name in layout.only:
        if name not in layout.feeds:
            only.problem(
                name, f"one of the datasets that the file feeds, {list(layout.feeds)}", name
            )
    only.finish()
    table.finish()
    return layout


def _is_encoding(name: str) -> bool:
    try:
        return bool(codecs.lookup(name)._is_text_encoding)
    except LookupError:
        return False


def _numbers(table: Reader) -> NumberForm:
    example = table.text("numbers", "1234.50")
    form = NumberForm.of_example(example)
    if form is None:
        table.problem("numbers", "1234.5 as the file writes it, such as 1.234,50", example)
    return form or NumberForm()


def _dates(table: Reader) -> tuple[DateForm, ...]:
    forms = []
    for example in table.texts("dates", ("iso",)):
        form = DateForm.of_example(example)
        if form is None:
            expected = "the last day of 2025 as the file writes it, such as 31.12.2025 23:59"
            table.problem("dates", expected, example)
        else:
            forms.append(form)
    return tuple(forms)


def _conditions(table: Reader, key: str) -> Conditions:
    """Read one condition or a list of them."""
    value = table.value(key)
    one_of = value if isinstance(value, list) else [value]
    found = []
    for one in one_of:
        condition = _condition(one)
        if condition is None:
            table.problem(key, 'a condition such as { status = ["cancelled", "failed"] }', value)
            return ()
        found.append(condition)
    return tuple(found)


def _condition(value: object) -> Condition | None:
    if not isinstance(value, dict) or not value:
        return None
    condition: dict[str, Patterns] = {}
    for column, texts in value.items():
        listed = texts if isinstance(texts, list) else [texts]
        if not listed or not all(isinstance(text, str) for text in listed):
            return None
        condition[column] = Patterns(tuple(listed))
    return condition


def _dataset(table: Reader, name: str) -> ShopDataset:
    columns_table = table.table("columns", required=True)
    roles = ROLES[name]
    columns = {}
    for column in columns_table.names():
        kind, required = roles.get(column, ("text", False))
        columns[column] = _column(columns_table, column, kind, required=required)
    columns_table.finish()
    for column, (_, required) in roles.items():
        if required and column not in columns:
            columns_table.problem(column, "where this column comes from", None)
    version = table.text("version", "") or None
    if version is not None and version in columns:
        columns[version] = _with_kind(columns[version], "version")
    key_by, key = _key(table, name, columns)
    dataset = ShopDataset(
        name=name,
        columns={
            one: _required(column) if key_by == "columns" and one in key else column
            for one, column in columns.items()
        },
        key=key,
        key_by=key_by,
        version=version,
        deleted=_conditions(table, "deleted") if table.has("deleted") else (),
        excluded=_conditions(table, "excluded") if table.has("excluded") else (),
        returned=_conditions(table, "returned") if table.has("returned") else None,
    )
    read = {
        *columns_of(dataset.deleted),
        *columns_of(dataset.excluded),
        *columns_of(dataset.returned or ()),
    }
    for column in sorted({*read, *({version} if version else ())} - set(columns)):
        table.problem(column, f"a column of [{name}.columns]", "none of this name")
    table.finish()
    return dataset


def _key(table: Reader, name: str, columns: Mapping[str, ShopColumn]) -> Any:  # noqa: ANN401
    """Read what identifies a row: (key_by, key)."""
    if name in ("orders", "products"):
        return "columns", ("order_id",) if name == "orders" else ("id",)
    value = table.value("key")
    if value in ("order", "row"):
        return value, (value,)
    key = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else ()
    if not key or any(one not in columns for one in key):
        table.problem("key", f'"order", "row", or columns of [{name}.columns]', value)
        return "row", ("row",)
    return "columns", key


def _column(table: Reader, name: str, kind: Kind, *, required: bool) -> ShopColumn:
    value = table.value(name)
    if isinstance(value, str):
        return ShopColumn(name=name, kind=kind, headers=(value,), required=required)
    spec = table.table(name)
    headers, join = spec.one_or_more("from"), spec.texts("join", ())
    if bool(headers) == bool(join):
        spec.problem("", "a header, or a table with either `from` or `join`", value)
    if spec.has("type"):
        kind = COLUMN_TYPES[spec.choice("type", tuple(COLUMN_TYPES), "text")]
    when: Condition = {}
    if spec.has("when"):
        found = _condition(spec.value("when"))
        if found is None:
            spec.problem(
                "when", 'a condition such as { amount-type = "Price" }', spec.value("when")
            )
        when = found or {}
    via = []
    for step in spec.one_or_more("via"):
        reference, _, column = step.partition(".")
        if not column:
            spec.problem("via", "REFERENCE.COLUMN, such as customers.person_id", step)
        else:
            via.append(Via(reference=reference, column=column))
    read = ShopColumn(
        name=name,
        kind=kind,
        headers=headers,
        join=join,
        when=when,
        via=tuple(via),
        blanks=tuple(map(header_form, spec.texts("blanks", ()))),
        required=spec.boolean("required", default=False) or required,
    )
    spec.finish()
    return read


def _with_kind(column: ShopColumn, kind: Kind) -> ShopColumn:
    return replace(column, kind=kind)


def _required(column: ShopColumn) -> ShopColumn:
    return replace(column, required=True)


def _references(table: Reader, datasets: Mapping[str, ShopDataset]) -> dict[str, ShopDataset]:
    """Read the references; their columns are those that some `via` asks for."""
    asked: dict[str, dict[str, Kind]] = {}
    for dataset in datasets.values():
        for column in dataset.columns.values():
            for number, step in enumerate(column.via, start=1):
                kind: Kind = column.kind if number == len(column.via) else "id"
                asked.setdefault(step.reference, {})[step.column] = kind
    references = {}
    for name in table.names():
        one = table.table(name)
        key = one.one_or_more("key")
        valid_from = one.text("valid_from", "") or None
        if not key:
            one.problem("key", "the columns that identify a row", None)
        if name in ROLES:
            table.problem(name, "a name that no dataset has", name)
        columns = {
            header: ShopColumn(name=header, kind="id", headers=(header,), required=True)
            for header in key
        }
        for header, kind in asked.get(name, {}).items():
            columns.setdefault(header, ShopColumn(name=header, kind=kind, headers=(header,)))
        if valid_from is not None:
            columns[valid_from] = ShopColumn(
                name=valid_from, kind="time", headers=(valid_from,), required=True
            )
        references[name] = ShopDataset(name=name, columns=columns, key=key, valid_from=valid_from)
        one.finish()
    table.finish()
    return references


def _check(shop: Shop, problems: list[str]) -> None:
    """Check what several tables must agree on."""
    if "orders" not in shop.datasets:
        problems.append("orders: expected a table with order_id and created_at, got none")
    if not shop.files:
        problems.append("files: expected one entry at least, got none")
    known = shop.all_datasets
    for number, layout in enumerate(shop.files, start=1):
        for name in layout.feeds:
            if name not in known:
                wanted = ", ".join(known)
                problems.append(f"files {number}.feeds: expected some of {wanted}, got {name!r}")
    fed = {name for layout in shop.files for name in layout.feeds}
    problems += [
        f"{name}: expected an entry of [[files]] that feeds it, got none"
        for name in known
        if name not in fed
    ]
    for dataset in shop.datasets.values():
        for column in dataset.columns.values():
            problems += _via_problems(shop, dataset, column)
    problems += _money_problems(shop)


def _via_problems(shop: Shop, dataset: ShopDataset, column: ShopColumn) -> Iterable[str]:
    for step in column.via:
        found = {**shop.references, **_products(shop)}.get(step.reference)
        place = f"{dataset.name}.columns.{column.name}.via"
        if found is None:
            yield f"{place}: expected a reference or products, got {step.reference!r}"
        elif step.column not in found.columns:
            yield f"{place}: expected a column of {step.reference}, got {step.column!r}"
    if column.via and column.name in dataset.key:
        yield f"{dataset.name}.columns.{column.name}: expected a key without via, got {column.via}"


def _products(shop: Shop) -> dict[str, ShopDataset]:
    return {name: one for name, one in shop.datasets.items() if name == "products"}


def _money_problems(shop: Shop) -> Iterable[str]:
    """Money that is said twice, or where it has no meaning (rules 13 and 15)."""
    if "order_items" in shop.datasets:
        for name in ("total", "quantity"):
            if shop.has("orders", name):
                yield (
                    f"orders.columns.{name}: expected no such column beside [order_items], whose "
                    "lines say it"
                )
    if shop.has("orders", "refund") and "refunds" in shop.datasets:
        yield "orders.columns.refund: expected refunds in a column or in [refunds], got both"
    if shop.has("order_items", "discount_rate") and shop.has("order_items", "discount_percent"):
        yield "order_items.columns: expected discount_rate or discount_percent, got both"
    if "refunds" in shop.datasets and not (
        shop.has("refunds", "amount") or shop.has("refunds", "unit_price")
    ):
        yield "refunds.columns.amount: expected an amount, or a unit_price, got neither"
    if any(shop.has(name, "currency") for name in ROLES) and shop.currency is None:
        yield "currency: expected the currency of the KPIs, since a column says it, got none"
