"""Contracts: what the columns of each dataset are. Read from TOML, frozen, checked as a whole.

`contracts/default.toml` is the built-in one and shows every setting that there is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

ColumnType = Literal["integer", "string", "uuid", "decimal", "timestamp"]
ID: tuple[ColumnType, ...] = ("integer", "string", "uuid")
"""Types that an id may have."""

DATASETS = ("orders", "order_items", "products")

MAX_PRECISION = 18
"""Digits of a decimal that still fit the 64-bit integers that sums are made of."""

MAX_KEY_BYTES = 1024
"""Of a text that is the sort key of a KPI row (DynamoDB's limit)."""

KEY_TYPES: tuple[ColumnType, ...] = ("integer", "string", "uuid")
"""Of columns that identify a row; see `kpi.kernels.keys.keys_of`."""

KPI_KEYS = {"products": "category", "order_items": "product_id"}
"""Columns whose texts become sort keys."""

STRPTIME = re.compile(r"(?:[^%\0]|%[YymdebBhaAjHIMSpDFTRnt%])+(?:\s*%z)?")
"""Formats that mean the same on every machine; an offset can only stand at the end."""

ROLES: Mapping[str, Mapping[str, tuple[bool, tuple[ColumnType, ...]]]] = {
    "orders": {
        "order_id": (True, ID),
        "user_id": (True, ID),
        "created_at": (True, ("timestamp",)),
        "status": (False, ("string",)),
    },
    "order_items": {
        "order_id": (True, ID),
        "product_id": (True, ID),
        "sale_price": (True, ("decimal",)),
        "status": (False, ("string",)),
        "quantity": (False, ("integer",)),
    },
    "products": {
        "id": (True, ID),
        "category": (False, ("string",)),
    },
}
"""Columns that the KPIs are made of: dataset -> column -> (must be in the contract, its types)."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a dataset.

    Attributes:
        name: Canonical name, in the clean zone and the KPIs.
        type: What its text must parse as.
        required: A row without a value is a reject; a file without the column is refused.
        headers: Other headers that mean this column, compared like `name`.
        precision: Digits of a decimal.
        scale: Digits of a decimal behind the point.
        formats: strptime formats of a timestamp, tried in turn; empty for ISO 8601.
        minimum: Smallest value allowed.
        maximum: Largest value allowed.
        allowed: Texts allowed; empty for all.
        max_bytes: Longest text allowed, in UTF-8 bytes.
    """

    name: str
    type: ColumnType
    required: bool = False
    headers: tuple[str, ...] = ()
    precision: int = 15
    scale: int = 2
    formats: tuple[str, ...] = ()
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    allowed: tuple[str, ...] = ()
    max_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One dataset: its columns in the order of the clean zone, and the key of a row."""

    name: str
    folder: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]
    returned: tuple[str, ...] = ()
    unit_price: bool = False

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns.values() if column.required)


@dataclass(frozen=True, kw_only=True)
class Contract:
    """All of a contract. `digest` changes whenever its text does."""

    name: str
    datasets: Mapping[str, Dataset]
    digest: str
    delimiter: str = ","
    null_values: tuple[str, ...] = ("",)
    source_time_zone: str = "UTC"
    business_time_zone: str = "UTC"
    max_reject_rate: float = 0.1
    max_record_bytes: int = 16 * 2**20
    max_columns: int = 1000
    max_inflation: int = 1100
    text: str = field(default="", repr=False)

    @property
    def returned(self) -> tuple[str, ...]:
        """Statuses, of orders and items, that mean "returned"; lower case."""
        return self.datasets["orders"].returned

    def dataset_of(self, key: str) -> str | None:
        """The dataset of an object by the folder it lies in; None where no contract folder fits.

        Args:
            key: Key of the object; the folder nearest to the object wins.
        """
        folders = {dataset.folder: name for name, dataset in self.datasets.items()}
        for segment in reversed(key.split("/")[:-1]):
            if segment in folders:
                return folders[segment]
        return None


def header_form(text: str) -> str:
    """A header as it is compared: without surrounding space, without regard to case."""
    return text.strip().casefold()
