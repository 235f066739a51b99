"""Read contract language 2, listing every problem at once."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from difflib import SequenceMatcher

from kpi.contract.conditions import Condition, columns_of
from kpi.contract.file_entries import read_condition, read_conditions, read_file_entry
from kpi.contract.forms import NumberForm
from kpi.contract.model import header_form
from kpi.contract.shop import (
    AS_WRITTEN,
    REFERENCE_NAME,
    REFUND_MONEY,
    ROLES,
    KeyBy,
    Kind,
    Shop,
    ShopColumn,
    ShopDataset,
    Via,
)
from kpi.contract.toml_reader import Reader

ALIKE = 0.8
ALIKE_LENGTH = 2
"""Share of letters that two names have in common, in order, and difference of their lengths, from
which and up to which one is taken for a misspelling of the other."""

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
    layouts = tuple(map(read_file_entry, root.tables("files")))
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
    if shop.not_after is not None and shop.not_after < shop.not_before:
        root.problem("not_after", f"a day from {shop.not_before} on", shop.not_after)
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
    identity = {"columns": key, "order": ("order_id",), "row": ()}[key_by]
    dataset = ShopDataset(
        name=name,
        columns={
            one: _required(column) if one in identity else column for one, column in columns.items()
        },
        key=key,
        key_by=key_by,
        version=version,
        deleted=read_conditions(table, "deleted") if table.has("deleted") else (),
        excluded=read_conditions(table, "excluded") if table.has("excluded") else (),
        returned=read_conditions(table, "returned") if table.has("returned") else None,
    )
    read = {
        *columns_of(dataset.deleted),
        *columns_of(dataset.excluded),
        *columns_of(dataset.returned or ()),
    }
    for column in sorted({*read, *({version} if version else ())} - set(columns)):
        expected = f'a column of [{name}.columns], such as {column} = "HEADER"'
        table.problem(column, expected, None)
    table.finish()
    return dataset


def _key(
    table: Reader, name: str, columns: Mapping[str, ShopColumn]
) -> tuple[KeyBy, tuple[str, ...]]:
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
        found = read_condition(spec.value("when"))
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
        elif not REFERENCE_NAME.fullmatch(name):
            table.problem(name, "a name of at most 64 letters a to z, digits, _ and -", name)
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
        problems += _sign_problems(shop, dataset)
        problems += _spelling_problems(shop, dataset)
        for column in dataset.columns.values():
            problems += _via_problems(shop, dataset, column)
    problems += _money_problems(shop)


def _sign_problems(shop: Shop, dataset: ShopDataset) -> Iterable[str]:
    """Find texts whose sign is tested, though their file writes numbers with other marks."""
    forms = {layout.numbers for layout in shop.files if dataset.name in layout.feeds}
    if forms <= {NumberForm()}:
        return
    conditions = (*dataset.deleted, *dataset.excluded, *(dataset.returned or ()))
    for name, patterns in ((name, one) for each in conditions for name, one in each.items()):
        column = dataset.columns.get(name)  # a condition on none is a problem of its own
        if column and patterns.asks_for_signs and column.kind in ("id", "text"):
            yield (
                f'{dataset.name}.columns.{name}: expected `type = "decimal"`, since its sign is '
                "tested, got a text"
            )


def _spelling_problems(shop: Shop, dataset: ShopDataset) -> Iterable[str]:
    """Find columns that nothing reads, of almost the name of a column with a meaning."""
    conditions = (*dataset.deleted, *dataset.excluded, *(dataset.returned or ()))
    read = {
        *ROLES[dataset.name],
        *dataset.key,
        *([dataset.version] if dataset.version else ()),
        *(name for condition in conditions for name in condition),
        *(
            step.column
            for other in shop.all_datasets.values()
            for column in other.columns.values()
            for step in column.via
            if step.reference == dataset.name
        ),
    }
    for name in sorted(dataset.columns.keys() - read):
        for meant in ROLES[dataset.name].keys() - dataset.columns.keys():
            alike = SequenceMatcher(None, name, meant).ratio() >= ALIKE
            if alike and abs(len(name) - len(meant)) <= ALIKE_LENGTH:
                yield (
                    f"{dataset.name}.columns.{name}: expected a column with a meaning, or one that "
                    f"a condition reads, got almost {meant!r}"
                )


def _via_problems(shop: Shop, dataset: ShopDataset, column: ShopColumn) -> Iterable[str]:
    for step in column.via:
        found = {**shop.references, **_products(shop)}.get(step.reference)
        place = f"{dataset.name}.columns.{column.name}.via"
        if found is None:
            yield f"{place}: expected a reference or products, got {step.reference!r}"
        elif step.column not in found.columns:
            yield f"{place}: expected a column of {step.reference}, got {step.column!r}"
        else:
            # The last step gives the value; those before give keys.
            kind: Kind = column.kind if step == column.via[-1] else "id"
            of_step = found.columns[step.column].kind
            if of_step != kind and not {of_step, kind} <= {"id", "text"}:
                yield (
                    f"{place}: expected a column of {step.reference} of kind {kind!r}, got "
                    f"{step.column!r} of kind {of_step!r}"
                )
    if column.via and dataset.name == "refunds" and column.name == "created_at":
        yield "refunds.columns.created_at: expected a time of the row, got a look-up"
    if column.via and column.name in dataset.key:
        yield f"{dataset.name}.columns.{column.name}: expected a key without via, got {column.via}"


def _refund_problems(shop: Shop) -> Iterable[str]:
    """Find refunds that name what has no identity."""
    refunds, items = shop.datasets.get("refunds"), shop.datasets.get("order_items")
    if refunds is not None and refunds.key_by == "order" and not shop.has("refunds", "order_id"):
        yield 'refunds.columns.order_id: expected the order, since key = "order", got none'
    if items is not None and items.key_by != "columns" and shop.has("refunds", "item"):
        yield (
            "refunds.columns.item: expected [order_items] with columns as its key, of which it "
            f"names the last, got key = {items.key_by!r}"
        )


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
    yield from _refund_problems(shop)
    if shop.has("orders", "refund") and "refunds" in shop.datasets:
        yield "orders.columns.refund: expected refunds in a column or in [refunds], got both"
    if shop.has("order_items", "discount_rate") and shop.has("order_items", "discount_percent"):
        yield "order_items.columns: expected discount_rate or discount_percent, got both"
    if "refunds" in shop.datasets and not shop.has("refunds", *REFUND_MONEY, "order_id", "item"):
        yield (
            "refunds.columns: expected an amount, a unit_price, or the order_id or item that came "
            "back, got none"
        )
    if any(shop.has(name, "currency") for name in ROLES) and shop.currency is None:
        yield "currency: expected the currency of the KPIs, since a column says it, got none"
