"""A header record names the columns, or refuses the file with a reason."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.contract.loading import built_in
from kpi.csv.header import Layout, Refusal, _edit_distance, read_layout
from tests.unit.kpi.columns import layout_of


def names_of(header: bytes) -> tuple[str, ...] | str:
    found = read_layout(header, built_in(), built_in().datasets["products"])
    return found.names if isinstance(found, Layout) else found.reason


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (b"id,category", ("id", "category")),
        (b"category,id", ("category", "id")),
        (b"\xef\xbb\xbfid,category", ("id", "category")),
        (b'\xef\xbb\xbf"id","category"', ("id", "category")),
        (b"ID , Category", ("id", "category")),
        (b"id,category,colour", ("id", "category", "?colour")),
        (b'id,category,"a ""b"", c"', ("id", "category", '?a "b", c')),
        (b"id,category,x,x", ("id", "category", "?x", "?x#4")),
        (b"id,category,", ("id", "category", "?")),
        (b"id,category,,", ("id", "category", "?", "?#4")),
    ],
)
def test_a_header_names_the_columns(header: bytes, names: tuple[str, ...]) -> None:
    assert names_of(header) == names


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"id,label", "expected column category, got a header of 2 columns; known: id"),
        (b"a,b", "expected columns id, category, got a first record of 2 columns, none of them"),
        (b"ID,Kategory", "got a header of 2 columns; known: id; similar: kategory (category?)"),
        (b"xx,categroy", "got a header of 2 columns; similar: categroy (category?)"),
        (
            b"id;label;e-mail",
            "got a header of 1 column; with the delimiter ';' it has 3; known: id (csv.delimiter)",
        ),
        (b"id\tlabel", "with the delimiter '\\t' it has 2; known: id (csv.delimiter)"),
        (b"7;Toys", "a first record of 1 column, none of them known; is the header missing?"),
        (b"7,Toys", "a first record of 2 columns, none of them known; is the header missing?"),
        (b"id,category,ID", "expected column id once, got it twice in the header"),
        ("id,category".encode("utf-16"), "expected UTF-8, got UTF-16"),
        ("id,category".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b"id,cat\0egory", "NUL bytes"),
        (b"id,cat\xe9gorie", "expected a header in UTF-8, got byte 0xe9 at 6"),
        (b"id,category" + b",x" * 1000, "expected at most 1000 columns, got 1002"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(header: bytes, reason: str) -> None:
    found = read_layout(header, built_in(), built_in().datasets["products"])
    assert isinstance(found, Refusal)
    assert reason in found.reason


def test_headers_may_be_aliases() -> None:
    contract = built_in("olist")
    layout = layout_of(contract, b"product_category_name,PRODUCT_ID")
    assert layout.names == ("category", "id")
    both = read_layout(b"product_id,id", contract, contract.datasets["products"])
    assert isinstance(both, Refusal)


@pytest.mark.parametrize(
    "record",
    [
        "Jane Doe,Berlin Wedding,returned,jane doe (at) example.org",
        "kim@example.com,Kim",
        "a4111111111111111;Kim",
        "fa1b2c3d-4aaa-bbbb-cccc-dddddddddddd",
        "password: hunter2",
        "ok,no,it,ad,card,berlin",
    ],
)
def test_reason_quotes_no_value_of_a_first_row(record: str) -> None:
    found = read_layout(record.encode(), built_in(), built_in().datasets["products"])
    assert isinstance(found, Refusal)
    assert "none of them known; is the header missing?" in found.reason
    assert not [one for one in re.split("[,;]", record) if f" {one} " in f" {found.reason} "]


def test_refusal_keeps_the_whole_header_for_its_owner() -> None:
    found = read_layout(b"id,Size (cm),x", built_in(), built_in().datasets["products"])
    assert isinstance(found, Refusal)
    assert found.header == ("id", "Size (cm)", "x")
    assert "Size" not in found.reason


@given(st.text(max_size=12), st.text(max_size=12))
def test_edit_distance_is_levenshtein(one: str, other: str) -> None:
    def slow(a: str, b: str) -> int:
        if not a or not b:
            return len(a) + len(b)
        replaced = slow(a[1:], b[1:]) + (a[0] != b[0])
        return min(replaced, slow(a[1:], b) + 1, slow(a, b[1:]) + 1)

    one, other = one[:5], other[:5]
    assert _edit_distance(one, other) == slow(one, other)


def test_hostile_header_is_described_in_bounded_time() -> None:
    names = ",".join(f"categor{number}" for number in range(1000))
    started = time.process_time()
    found = read_layout(names.encode(), built_in(), built_in().datasets["products"])
    assert isinstance(found, Refusal)
    assert time.process_time() - started < 1
