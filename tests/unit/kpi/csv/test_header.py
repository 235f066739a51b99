"""A header record names the columns, or refuses the file with a reason."""

from __future__ import annotations

import pytest

from kpi.contract.loading import built_in
from kpi.csv.header import Layout, Refusal, read_layout
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
        (b"id,name", "expected column category, got the header: id, name"),
        (b"a,b", "expected columns id, category, got the header: a, b"),
        ("Größe (cm), ,x_2".encode(), "got the header: Größe (cm), , x_2"),
        (b"id;name;e-mail", "got the header: id;name;e-mail (is its delimiter ';'?)"),
        (b"id\tname", "got the header: id\tname (is its delimiter '\\t'?)"),
        (b"7;Toys", "a first record of 1 that are no column names"),
        ("Price €,Total ($),Kim's".encode(), "got the header: Price €, Total ($), Kim's"),
        (b"id,2nd <x>", "expected column category, got the header: id, 2nd <x>"),
        (b"7,Toys", "got a first record of 2 that are no column names: is the header missing?"),
        (b"kim@example.com,Kim", "a first record of 2 that are no column names"),
        (b"a4111111111111111,Kim", "a first record of 2 that are no column names"),
        (b"fa1b2c3d-4aaa-bbbb-cccc-dddddddddddd", "a first record of 1 that are no column names"),
        (
            b"Once upon a time there was a customer who had lost her old address, and",
            "a first record of 2 that are no column",
        ),
        (b"id,category,ID", "expected column id once, got it twice in the header"),
        ("id,category".encode("utf-16"), "expected UTF-8, got UTF-16"),
        ("id,category".encode("utf-16-le"), "NUL bytes"),
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
