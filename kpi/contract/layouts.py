"""Built-in layouts: contracts whose files are known by their header alone (rules 26, 28)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from kpi.contract.conditions import Conditions
from kpi.contract.folding import fold
from kpi.contract.loading import built_in, layout_names, parse_contract
from kpi.contract.model import Contract
from kpi.contract.shop import FileLayout, Shop

CURRENCY_LINE = re.compile(r'^currency = "[A-Z]{3}"', re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class BuiltInLayout:
    """A layout of a shop system's files.

    Attributes:
        key: Name of the built-in contract, for `--contract`.
        contract: It.
        shop: What it says.
    """

    key: str
    contract: Contract
    shop: Shop

    @property
    def title(self) -> str:
        """Name for people."""
        return self.shop.name

    @property
    def currency_headers(self) -> tuple[str, ...]:
        """Headers of the columns that say the currency of money."""
        return tuple(
            dict.fromkeys(
                header
                for dataset in self.shop.datasets.values()
                for name, column in dataset.columns.items()
                if name == "currency"
                for header in column.headers
            )
        )

    def entries_of(self, header: Sequence[str]) -> list[FileLayout]:
        """Find the entries of `[[files]]` that take a file of a header."""
        forms = frozenset(map(fold, header))
        return [entry for entry in self.shop.files if _takes(entry, self.shop, forms)]

    def with_currency(self, currency: str) -> Contract:
        """Make the contract of a shop whose KPIs are in a currency."""
        text = CURRENCY_LINE.sub(f'currency = "{currency}"', self.contract.text, count=1)
        return parse_contract(text, source=f"built-in {self.key!r}")


@cache
def built_in_layouts() -> tuple[BuiltInLayout, ...]:
    """Load the layouts, by name."""
    found = ((name, built_in(name)) for name in layout_names())
    return tuple(
        BuiltInLayout(key=name, contract=contract, shop=contract.shop)
        for name, contract in found
        if contract.shop is not None
    )


def _takes(entry: FileLayout, shop: Shop, forms: frozenset[str]) -> bool:
    if not entry.known_by or not entry.is_known_by(forms):
        return False
    wanted = (
        column.headers
        for name in entry.feeds
        for column in shop.all_datasets[name].columns.values()
        if column.headers
    )
    return all(any(fold(header) in forms for header in headers) for headers in wanted)


def describe_left_out(shop: Shop) -> list[str]:
    """Say which rows and orders a contract leaves out of the numbers, one sentence each."""
    return list(_left_out(shop))


def _left_out(shop: Shop) -> Iterator[str]:
    nouns = {"orders": "orders", "order_items": "lines"}
    for name, noun in nouns.items():
        dataset = shop.datasets.get(name)
        if dataset is not None and dataset.excluded:
            yield f"{noun} with {_shown(dataset.excluded)}"
    said: dict[str, list[str]] = {}
    for entry in shop.files:
        for name, conditions in entry.only.items():
            names = said.setdefault(_shown(conditions), [])
            if name not in names:
                names.append(name)
    for shown, names in said.items():
        yield f"rows for {' and '.join(names)} other than those with {shown}"


def _shown(conditions: Conditions) -> str:
    return " or ".join(
        " and ".join(f"{column} {_words(patterns.texts)}" for column, patterns in condition.items())
        for condition in conditions
    )


def _words(texts: Sequence[str]) -> str:
    if tuple(texts) == ("*",):
        return "given"
    if tuple(texts) == ("",):
        return "missing"
    plain = [text or "nothing" for text in texts if not text.startswith("!")]
    negated = [text[1:] or "nothing" for text in texts if text.startswith("!")]
    parts = ["= " + ", ".join(plain)] if plain else []
    parts += ["other than " + ", ".join(negated)] if negated else []
    return " and ".join(parts)
