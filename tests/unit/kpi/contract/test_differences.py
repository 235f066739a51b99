"""Differences of contracts: which need no more than to compute days again."""

from __future__ import annotations

import pytest

from kpi.contract.differences import describe_differences, same_clean_rows
from kpi.contract.loading import built_in, parse_contract
from kpi.contract.model import Contract
from kpi.contract.translation import to_language_2
from kpi.errors import ContractError


def contract(text: str) -> Contract:
    return parse_contract(text, source="test")


def test_what_files_replace_takes_no_new_clean_rows() -> None:
    rows, whole = built_in(), contract('replaces = "file"\n' + built_in().text)
    assert whole.replaces_file("orders")
    assert not rows.replaces_file("orders")
    assert same_clean_rows(rows, whole)
    assert describe_differences(rows, whole) == [
        f"{name}.replaces: 'rows' -> 'file'" for name in ("orders", "order_items", "products")
    ]


def test_one_dataset_may_replace_whole_files_alone() -> None:
    text = built_in().text.replace("[products]", '[products]\nreplaces = "file"')
    found = contract(text)
    assert [found.replaces_file(name) for name in ("orders", "products", "other")] == [
        False,
        True,
        False,
    ]


def test_language_2_says_the_same_of_files() -> None:
    whole = contract('replaces = "file"\n' + built_in().text)
    one, other = contract(to_language_2(built_in())), contract(to_language_2(whole))
    assert other.shop is not None
    assert {layout.replaces for layout in other.shop.files} == {"file"}
    assert same_clean_rows(one, other)
    assert describe_differences(one, other)
    delimited = contract(to_language_2(whole).replace('delimiter = ","', 'delimiter = ";"'))
    assert not same_clean_rows(other, delimited)


def test_a_version_column_is_one_of_the_dataset() -> None:
    text = built_in().text.replace("[orders]\n", '[orders]\nversion = "status"\n')
    with pytest.raises(ContractError, match="of type integer or timestamp"):
        contract(text)
    with pytest.raises(ContractError, match="of type integer or timestamp"):
        contract(text.replace('version = "status"', 'version = "changed"'))
    found = contract(text.replace('version = "status"', 'version = "created_at"'))
    assert same_clean_rows(built_in(), found)
    translated = contract(to_language_2(found)).shop
    assert translated is not None
    assert translated.datasets["orders"].version == "created_at"
