"""Read contracts from TOML, listing every problem at once."""

from __future__ import annotations

import hashlib
import re
import tomllib
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import accumulate
from typing import TypedDict, get_args

from kpi.contract.date_formats import FORMAT_WORDS, MAX_FORMAT_CHARACTERS, is_format
from kpi.contract.expectation import read_expectations
from kpi.contract.folding import fold
from kpi.contract.model import (
    DATASETS,
    KEY_TYPES,
    KPI_KEYS,
    MAX_KEY_BYTES,
    MAX_PRECISION,
    MONEY,
    MONEY_SCALE,
    ROLES,
    VERSION_TYPES,
    Column,
    ColumnType,
    Contract,
    Dataset,
    DatasetReplaces,
    ExcessDigits,
    header_form,
)
from kpi.contract.toml_reader import Reader
from kpi.errors import ContractError, KpiError
from kpi.kernels.zone_data import zone_data, zone_names

TOO_DEEP = "not TOML: tables or lists nested too deeply"

MOST_NESTED = 400
"""Brackets open at once: Python's parser calls itself twice for each. At its limit, Debian's 3.11.2
was seen to end in a segmentation fault."""

EMPTY = (
    "nothing is said in it; `shopkpi contract infer FOLDER > FILE` writes one from your files, and "
    "docs/words.md begins with an example"
)
"""Problem of a contract without any setting."""

_BUILT_IN = resources.files("kpi.contract").joinpath("builtin")


class _Limits(TypedDict):
    max_reject_rate: float
    max_record_bytes: int
    max_columns: int
    max_inflation: int


def built_in_names() -> list[str]:
    """List the contracts of language 1 that come with shopkpi."""
    return _names_in(_BUILT_IN)


def layout_names() -> list[str]:
    """List the contracts of shop systems' files that come with shopkpi; see `layouts`."""
    return _names_in(_BUILT_IN.joinpath("layouts"))


def built_in(name: str = "default") -> Contract:
    """Load a contract that comes with shopkpi.

    Raises:
        ContractError: The name is not in `built_in_names()` or `layout_names()`.
    """
    folder = _BUILT_IN
    if name in layout_names():
        folder = _BUILT_IN.joinpath("layouts")
    elif name not in built_in_names():
        known = ", ".join((*built_in_names(), *layout_names()))
        raise ContractError(name, [f"no built-in contract has this name; there are: {known}"])
    text = folder.joinpath(f"{name}.toml").read_text("utf-8")
    return parse_contract(text, source=f"built-in {name!r}")


def _names_in(folder: Traversable) -> list[str]:
    files = (file.name for file in folder.iterdir())
    return sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml"))


def parse_contract(text: str, *, source: str) -> Contract:
    """Read a contract.

    Args:
        text: TOML.
        source: Name of the contract in messages.

    Raises:
        ContractError: The text is no contract; lists every problem.
    """
    if _brackets_open(text) > MOST_NESTED:
        raise ContractError(source, [TOO_DEEP])
    try:
        document = tomllib.loads(text)
    except RecursionError as error:
        raise ContractError(source, [TOO_DEEP]) from error
    except ValueError as error:  # a `TOMLDecodeError`, or an integer of thousands of digits
        raise ContractError(source, [f"not TOML: {error}"]) from error
    if not document:
        raise ContractError(source, [EMPTY])
    reader = Reader(document)
    if _language(reader) == 2:
        contract = _contract_of_shop(reader, text)
    else:
        contract = _contract(reader, text)
        _check_roles(contract, reader.problems)
    if reader.problems:
        raise ContractError(source, reader.problems)
    return contract


def _language(root: Reader) -> int:
    return root.integer("language", 1, low=1, high=2)


def _brackets_open(text: str) -> int:
    """Return how many brackets are open at once, those in texts and comments too."""
    steps = (1 if one in "[{" else -1 for one in re.findall(r"[][{}]", text))
    return max(accumulate(steps), default=0)


def _contract_of_shop(root: Reader, text: str) -> Contract:
    from kpi.contract.language import read_shop  # noqa: PLC0415  (10 ms of every start)

    shop = read_shop(root, is_time_zone=_is_time_zone)
    limits = root.table("limits")
    time_zone = shop.day if _is_time_zone(shop.day) else shop.times
    contract = Contract(
        name=shop.name,
        datasets={},
        shop=shop,
        **_limits(limits),
        digest=hashlib.sha256(text.encode()).hexdigest()[:16],
        text=text,
        expect=read_expectations(root, shop.all_datasets, time_zone, _is_time_zone),
    )
    for table in (root, limits):
        table.finish()
    return contract


def _limits(limits: Reader) -> _Limits:
    return {
        "max_reject_rate": limits.number("max_reject_rate", 0.1, low=0, high=1),
        "max_record_bytes": limits.integer("max_record_bytes", 16 * 2**20, low=1024, high=2**28),
        "max_columns": limits.integer("max_columns", 1000, low=1, high=10_000),
        "max_inflation": limits.integer("max_inflation", 1100, low=1, high=10**6),
    }


def _contract(root: Reader, text: str) -> Contract:
    name = root.text("name", "contract")
    csv, time, limits = root.table("csv"), root.table("time"), root.table("limits")
    delimiter = csv.text("delimiter", ",")
    if len(delimiter.encode()) != 1 or delimiter in '"\r\n\0' or delimiter.isalnum():
        expected = "one ASCII character, not a letter, digit, quote, line end or NUL"
        csv.problem("delimiter", expected, delimiter)
    zones = {key: _time_zone(time, key) for key in ("source_time_zone", "business_time_zone")}
    replaces = root.choice("replaces", get_args(DatasetReplaces), "rows")
    contract = Contract(
        name=name,
        delimiter=delimiter,
        null_values=csv.texts("null_values", ("",)),
        source_time_zone=zones["source_time_zone"],
        business_time_zone=zones["business_time_zone"],
        **_limits(limits),
        datasets={
            name: _dataset(root.table(name, required=True), name, replaces) for name in DATASETS
        },
        digest=hashlib.sha256(text.encode()).hexdigest()[:16],
        text=text,
        expect=read_expectations(root, DATASETS, zones["business_time_zone"], _is_time_zone),
    )
    for table in (root, csv, time, limits):
        table.finish()
    return contract


def _time_zone(time: Reader, key: str) -> str:
    zone = time.text(key, "UTC")
    if not _is_time_zone(zone):
        time.problem(key, "an IANA time zone such as Europe/Berlin", zone)
    return zone


def _is_time_zone(zone: str) -> bool:
    """Whether the time zone database has a zone.

    Raises:
        KpiError: The database has it, and is wrong.
    """
    if zone == "UTC":
        return True
    try:
        zone_data(zone)
    except KpiError:
        if zone in zone_names():
            raise
        return False
    return True


def _dataset(table: Reader, name: str, replaces: DatasetReplaces) -> Dataset:
    folder = table.text("folder", name)
    if not folder or "/" in folder:
        table.problem("folder", "one folder name without '/'", folder)
    returned = table.texts("returned", ("returned",)) if name == "orders" else ()
    price_per = (
        table.choice("price_per", ("line", "unit"), "line") if name == "order_items" else "line"
    )
    columns_table = table.table("columns", required=True)
    key = table.texts("key", ())
    version = table.text("version", "") or None
    read = {*ROLES[name], *key, *([version] if version else ())}
    columns = {
        column_name: _column(
            columns_table.table(column_name),
            column_name,
            is_kpi_key=KPI_KEYS.get(name) == column_name,
            is_money=MONEY.get(name) == column_name,
            is_read=column_name in read,
        )
        for column_name in columns_table.names()
    }
    if not key:
        table.problem("key", "a list of one or more columns", list(key))
    for key_name in key:
        if key_name not in columns or not columns[key_name].required:
            table.problem("key", "columns of this dataset with required = true", key_name)
        elif columns[key_name].type not in KEY_TYPES:
            table.problem("key", f"columns of type {' or '.join(KEY_TYPES)}", key_name)
    if version and (version not in columns or columns[version].type not in VERSION_TYPES):
        expected = f"a column of this dataset of type {' or '.join(VERSION_TYPES)}"
        table.problem("version", expected, version)
    owners: dict[str, str] = {}
    for column in columns.values():
        for header in (column.name, *column.headers):
            owner = owners.setdefault(header_form(header), column.name)
            if owner != column.name:
                columns_table.problem(
                    column.name, "headers that no other column has", f"{header!r}, as {owner}"
                )
    replaced = table.choice("replaces", get_args(DatasetReplaces), replaces)
    table.finish()
    return Dataset(
        name=name,
        folder=folder,
        key=key,
        columns=columns,
        returned=tuple(fold(status) for status in returned),
        unit_price=price_per == "unit",
        replaces=replaced,
        version=version,
    )


def _column(table: Reader, name: str, *, is_kpi_key: bool, is_money: bool, is_read: bool) -> Column:
    """Read one column.

    Args:
        table: The column's table.
        name: Canonical name.
        is_kpi_key: Whether its texts become keys of KPI rows.
        is_money: Whether KPIs sum it.
        is_read: Whether a KPI or the dataset's key reads it.
    """
    kind = table.choice("type", get_args(ColumnType), None)
    is_decimal, is_string = kind == "decimal", kind == "string"
    has_limits = kind in ("integer", "decimal")
    precision, scale = _digits(table, is_money=is_money) if is_decimal else (17, MONEY_SCALE)
    default, most = (MAX_KEY_BYTES, MAX_KEY_BYTES) if is_kpi_key else (0, 2**28)
    required = table.boolean("required", default=False)
    max_bytes = table.integer("max_bytes", default, low=1, high=most) if is_string else 0
    column = Column(
        name=name,
        type=kind,
        required=required,
        headers=table.texts("headers", ()),
        precision=precision,
        scale=scale,
        formats=table.texts("formats", ()) if kind == "timestamp" else (),
        minimum=table.decimal("min") if has_limits else None,
        maximum=table.decimal("max") if has_limits else None,
        allowed=table.texts("allowed", ()) if is_string else (),
        max_bytes=max_bytes or None,
        on_excess_digits=(
            table.choice("on_excess_digits", get_args(ExcessDigits), "round")
            if is_decimal
            else "round"
        ),
        trim=table.boolean("trim", default=True) if is_string else True,
        rejects=required or is_read,
    )
    for form in column.formats:
        if len(form) > MAX_FORMAT_CHARACTERS:
            expected = f"formats of at most {MAX_FORMAT_CHARACTERS} characters"
            table.problem("formats", expected, f"one of {len(form)}")
        elif not is_format(form):
            words = ", ".join(FORMAT_WORDS)
            expected = f"{words}, or strptime formats with a year; %z last; no %s or %Z"
            table.problem("formats", expected, form)
    if name.startswith("_"):
        table.problem("", "a column name that does not start with '_'", name)
    table.finish()
    return column


def _digits(table: Reader, *, is_money: bool) -> tuple[int, int]:
    """Read precision and scale; money gets the places that it keeps at least."""
    precision = table.integer("precision", 17, low=1, high=MAX_PRECISION)
    scale = table.integer("scale", min(MONEY_SCALE, precision), low=0, high=precision)
    if is_money and scale < MONEY_SCALE:
        precision, scale = min(precision + MONEY_SCALE - scale, MAX_PRECISION), MONEY_SCALE
    return precision, scale


def _check_roles(contract: Contract, problems: list[str]) -> None:
    for dataset_name, roles in ROLES.items():
        columns = contract.datasets[dataset_name].columns
        for name, (needed, types) in roles.items():
            place = f"{dataset_name}.columns.{name}"
            column = columns.get(name)
            if column is None:
                if needed:
                    problems.append(f"{place}: the KPIs need this column; it is missing")
            elif column.type not in types:
                problems.append(f"{place}: expected type {' or '.join(types)}, got {column.type!r}")
            elif needed and not column.required:
                problems.append(f"{place}: the KPIs need this column; expected required = true")
    for dataset_name, key in (("orders", "order_id"), ("products", "id")):
        got = contract.datasets[dataset_name].key
        if got and got != (key,):
            # An order or a product counts once, and items name them by this column alone.
            problems.append(f"{dataset_name}.key: expected [{key!r}], got {list(got)!r}")
    pairs = (
        ("orders", "order_id", "order_items", "order_id"),
        ("products", "id", "order_items", "product_id"),
    )
    for one, one_column, other, other_column in pairs:
        left = contract.datasets[one].columns.get(one_column)
        right = contract.datasets[other].columns.get(other_column)
        if left and right and left.type != right.type:
            problems.append(
                f"{other}.columns.{other_column}: expected the type of {one}.{one_column}, "
                f"{left.type!r}, got {right.type!r}"
            )
    folders = [dataset.folder for dataset in contract.datasets.values()]
    if len(set(folders)) < len(folders):
        problems.append(f"folder: expected a folder of its own for each dataset, got {folders}")
