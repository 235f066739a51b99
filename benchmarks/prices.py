"""List prices of AWS, each with its source and date (`prices.toml`)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_name("prices.toml")


@dataclass(frozen=True, kw_only=True)
class Price:
    """A list price of us-east-1.

    Attributes:
        price: US dollars a unit.
        unit: What is paid for.
        source: Address of the page that gives it.
        date: When that was written, or read where it has no date.
    """

    price: float
    unit: str
    source: str
    date: str


def load_prices() -> Mapping[str, Price]:
    """Return name -> price."""
    table = tomllib.loads(TABLE.read_text("utf-8"))
    return {name: Price(**fields) for name, fields in table.items()}
