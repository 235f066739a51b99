"""A contract is loaded whole, or refused with every problem."""

from __future__ import annotations

import copy
import time
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.contract.date_formats import is_format
from kpi.contract.loading import built_in, built_in_names, parse_contract
from kpi.errors import ContractError


def problems_of(*changes: tuple[str, str], name: str = "default") -> list[str]:
    text = built_in(name).text
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    try:
        parse_contract(text, source="test")
    except ContractError as error:
        return error.problems
    return []


def test_the_built_in_contracts_are_usable() -> None:
    assert built_in_names() == ["default", "olist", "string-ids", "uuid-ids"]
    for name in built_in_names():
        contract = built_in(name)
        assert contract.name == name
        assert list(contract.datasets) == ["orders", "order_items", "products"]
        assert parse_contract(contract.text, source=name) == contract


def test_the_digest_changes_with_the_text() -> None:
    digests = {built_in(name).digest for name in built_in_names()}
    changed = parse_contract(built_in().text + "# a remark\n", source="test")
    assert len(digests | {changed.digest}) == len(built_in_names()) + 1


def test_every_problem_is_listed() -> None:
    found = problems_of(
        ('delimiter = ","', 'delimiter = ",,"'),
        ("max_reject_rate = 0.10", "max_reject_rate = 10"),
        ('business_time_zone = "UTC"', 'business_time_zone = "Mars/Olympus"'),
        ('price_per = "line"', 'price_per = "kilo"'),
        ('status = { type = "string", max_bytes = 256 }', 'status = { type = "text" }'),
        ("num_of_item = {", "num_of_items = { min_imum = 3, "),
        ('folder = "products"', 'folder = "orders"'),
    )
    for word in (
        "csv.delimiter",
        "limits.max_reject_rate",
        "time.business_time_zone",
        "order_items.price_per",
        "orders.columns.status.type",
        "order_items.columns.status.type",
        "num_of_items.min_imum",
        "folder",
    ):
        assert any(word in problem for problem in found), (word, found)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("order_id = {", "other_id = {", "orders.columns.order_id"),
        ("sale_price = {", "price = {", "order_items.columns.sale_price"),
        ('created_at = { type = "timestamp", required = true }', "", "orders.columns.created_at"),
        ('key = ["id"]', 'key = ["sku"]', "products.key"),
        ('key = ["id"]', "key = []", "key"),
        ('"decimal", required', '"decimal", precision = 19, required', "precision"),
        ('"decimal", required', '"decimal", scale = 18, required', "scale"),
        ('sku = { type = "string" }', '_sku = { type = "string" }', "_sku"),
        ('sku = { type = "string" }', 'sku = { type = "string", headers = ["ID "] }', "sku"),
        ("user_id = {", 'USER_ID = { type = "string" }\nuser_id = {', "USER_ID"),
        ('product_id = { type = "integer"', 'product_id = { type = "string"', "product_id"),
        ('null_values = [""]', 'null_values = ""', "csv.null_values"),
        ('folder = "orders"', 'folder = "a/b"', "orders.folder"),
        ("[limits]", "[limit]", "limit"),
        ("min = 0", "min = nan", "min"),
        ("required = true", 'required = "yes"', "required"),
    ],
)
def test_what_cannot_work_is_not_taken(old: str, new: str, expected: str) -> None:
    found = problems_of((old, new))
    assert any(expected in problem for problem in found), found


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # Orders and products count once, and items name them by these columns alone.
        ('key = ["order_id"]', 'key = ["order_id", "user_id"]', "orders.key"),
        ('key = ["order_id"]', 'key = ["user_id"]', "orders.key"),
        ('key = ["id"]', 'key = ["id", "category"]', "products.key"),
    ],
)
def test_orders_and_products_have_the_keys_that_items_name(
    old: str, new: str, expected: str
) -> None:
    found = problems_of((old, new))
    assert any(expected in problem for problem in found), found


@pytest.mark.parametrize("column", ["sale_price", "created_at"])
def test_keys_are_what_rows_are_joined_by(column: str) -> None:
    """Amounts and times are not."""
    required = ('created_at = { type = "timestamp" }', CREATED_AT)
    for key in (f'["id", "{column}"]', f'["{column}"]'):
        items = ('key = ["id"]\nprice_per', f"key = {key}\nprice_per")
        (found,) = problems_of(required, items)
        assert "order_items.key: expected columns of type integer or string or uuid" in found
        assert column in found


CREATED_AT = 'created_at = { type = "timestamp", required = true }'


@pytest.mark.parametrize(
    "form",
    [
        "%Y-%m-%d %H:%M:%S",
        "%d.%m.%Y",
        "%m/%d/%y %I:%M %p",
        "%d %b %Y",
        "%Y%m%d%H%M%S",
        "%F %T%z",
        "%F %T.%f",
        "seconds",
    ],
)
def test_formats_that_mean_the_same_everywhere_are_taken(form: str) -> None:
    new = f'created_at = {{ type = "timestamp", required = true, formats = ["{form}"] }}'
    assert problems_of((CREATED_AT, new)) == []


@pytest.mark.parametrize(
    "form",
    [
        "%Q",
        "%Y-%m-%d %Z",  # read and forgotten: times would be wrong by hours
        "%s",  # by the clock of the machine
        "%z %Y-%m-%d",
        "%H:%M",  # no day
        "soon",
        "",
    ],
)
def test_formats_that_would_match_nothing_or_the_wrong_thing_are_not(form: str) -> None:
    new = f'created_at = {{ type = "timestamp", required = true, formats = ["{form}"] }}'
    assert any("formats" in problem for problem in problems_of((CREATED_AT, new)))


def test_texts_that_become_keys_of_kpi_rows_fit_every_store() -> None:
    text = built_in("olist").text.replace(", max_bytes = 1024", "")
    contract = parse_contract(text, source="test")
    # DynamoDB: a sort key has at most 1024 bytes.
    assert contract.datasets["products"].columns["category"].max_bytes == 1024
    assert contract.datasets["order_items"].columns["product_id"].max_bytes == 1024
    assert contract.datasets["orders"].columns["order_id"].max_bytes is None
    longer = problems_of(("max_bytes = 1024 }  # DynamoDB", "max_bytes = 1025 }  # DynamoDB"))
    assert any("max_bytes" in problem for problem in longer)


@pytest.mark.parametrize(
    ("key", "dataset"),
    [
        ("orders/1.csv", "orders"),
        ("shop/orders/2025/1.csv", "orders"),
        ("orders/products/1.csv", "products"),
        ("order_items/.csv", "order_items"),
        ("Orders/1.csv", None),
        ("orders", None),
        ("orders.csv", None),
        ("", None),
        ("../orders/1.csv", "orders"),
        ("orders//1.csv", "orders"),
    ],
)
def test_the_nearest_folder_names_the_dataset(key: str, dataset: str | None) -> None:
    assert built_in().dataset_of(key) == dataset


@pytest.mark.parametrize("text", ["", "x", "orders = 3", "[orders]\n[orders]", "name = 1", "\x00"])
def test_no_contract_at_all(text: str) -> None:
    with pytest.raises(ContractError) as error:
        parse_contract(text, source="mine.toml")
    assert "mine.toml" in str(error.value)


PLACES = [
    path
    for name in built_in_names()
    for document in [tomllib.loads(built_in(name).text)]
    for path in [
        *[(name, key) for key in document],
        *[
            (name, key, inner)
            for key in document
            if isinstance(document[key], dict)
            for inner in document[key]
        ],
        *[
            (name, key, "columns", column)
            for key in ("orders", "order_items", "products")
            for column in document[key]["columns"]
        ],
        *[
            (name, key, "columns", column, setting)
            for key in ("orders", "order_items", "products")
            for column, settings in document[key]["columns"].items()
            for setting in settings
        ],
    ]
]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.one_of(st.text(max_size=3), st.integers()), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
    st.datetimes(),
)


def to_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{to_toml(key)} = {to_toml(one)}" for key, one in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(to_toml, value)) + "]"
    if isinstance(value, str):
        codes = "".join(f"\\U{ord(letter):08x}" for letter in value)
        return f'"{codes}"'
    if isinstance(value, int | float):
        return str(value)
    return str(value).replace(" ", "T")


@given(st.sampled_from(PLACES), VALUES)
def test_any_value_anywhere_is_taken_or_told_to_be_wrong(path: tuple[str, ...], value: Any) -> None:
    name, *keys, last = path
    document = copy.deepcopy(tomllib.loads(built_in(name).text))
    table = document
    for key in keys:
        table = table[key]
    if value is None:
        del table[last]
    else:
        table[last] = value
    text = "\n".join(f"{to_toml(key)} = {to_toml(one)}" for key, one in document.items())
    problems: list[str] | None = None
    try:
        contract = parse_contract(text, source="test")
    except ContractError as error:
        problems = error.problems
    if problems is None:
        assert set(contract.datasets) == {"orders", "order_items", "products"}
    else:
        assert problems


def test_format_of_many_characters_is_refused() -> None:
    column = 'created_at = { type = "timestamp", required = true'
    found = problems_of((column, f'{column}, formats = ["%Y{" " * 20_000}%Q"]'))
    assert found == [
        "orders.columns.created_at.formats: expected formats of at most 200 characters, "
        "got 'one of 20004'"
    ]


def test_pattern_of_formats_is_linear() -> None:
    started = time.process_time()
    assert not is_format("%Y" + " " * 200_000 + "%Q")
    assert is_format("%Y-%m-%d" + " " * 200_000 + "%z")
    assert time.process_time() - started < 1
