"""Data contracts: the columns of each dataset. Frozen, and checked as a whole when loaded.

`builtin/default.toml` names every setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from kpi.contract.shop import Shop

from kpi.contract.expectation import Expectation
from kpi.contract.folding import fold

ColumnType = Literal["integer", "string", "uuid", "decimal", "timestamp"]
DATASETS = ("orders", "order_items", "products")

MAX_PRECISION = 18
"""Digits of a decimal that fit a 64-bit integer, as sums use."""

MAX_KEY_BYTES = 1024
"""Bytes of a text that is the sort key of a KPI row (DynamoDB's limit)."""

ExcessDigits = Literal["round", "reject"]
DatasetReplaces = Literal["rows", "file"]

KEY_TYPES: tuple[ColumnType, ...] = ("integer", "string", "uuid")
"""Types of ids, and of columns that identify a row."""

VERSION_TYPES: tuple[ColumnType, ...] = ("integer", "timestamp")
"""Types of the column that says which row of a key is the later one."""

KPI_KEYS = {"products": "category", "order_items": "product_id"}
"""Columns whose texts become sort keys."""

MONEY_SCALE = 4
"""Decimal places that money keeps at least. Rounding each line to 2 would differ from a shop's own
sums; published amounts are rounded once, after summing."""

MONEY = {"order_items": "sale_price"}
"""Columns that KPIs sum."""

ROLES: Mapping[str, Mapping[str, tuple[bool, tuple[ColumnType, ...]]]] = {
    "orders": {
        "order_id": (True, KEY_TYPES),
        "user_id": (True, KEY_TYPES),
        "created_at": (True, ("timestamp",)),
        "status": (False, ("string",)),
    },
    "order_items": {
        "order_id": (True, KEY_TYPES),
        "product_id": (True, KEY_TYPES),
        "sale_price": (True, ("decimal",)),
        "status": (False, ("string",)),
        "quantity": (False, ("integer",)),
    },
    "products": {
        "id": (True, KEY_TYPES),
        "category": (False, ("string",)),
    },
}
"""Columns that the KPIs read: dataset -> column -> (must be in the contract, its types)."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a dataset.

    Attributes:
        name: Canonical name, in the clean zone and the KPIs.
        type: Type of its values.
        required: A row without a value is a reject; a file without the column is refused.
        headers: Other headers of this column, compared like `name`.
        precision: Digits of a decimal.
        scale: Digits of a decimal behind the point.
        on_excess_digits: What becomes of a decimal with more digits behind the point.
        trim: Whether a text loses its outer blanks.
        rejects: Whether a bad value rejects its row; otherwise it becomes null.
        formats: Formats of a timestamp, tried in turn; empty for ISO 8601. See `date_formats`.
        minimum: Smallest value allowed.
        maximum: Largest value allowed.
        allowed: Texts allowed; empty for all.
        max_bytes: Longest text allowed, in UTF-8 bytes.
    """

    name: str
    type: ColumnType
    required: bool = False
    headers: tuple[str, ...] = ()
    precision: int = 17
    scale: int = MONEY_SCALE
    on_excess_digits: ExcessDigits = "round"
    trim: bool = True
    rejects: bool = True
    formats: tuple[str, ...] = ()
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    allowed: tuple[str, ...] = ()
    max_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One dataset.

    Attributes:
        name: One of `DATASETS`.
        folder: Last folder of its objects' keys.
        key: Columns that identify a row.
        columns: Canonical name -> column, in the order of the clean zone.
        returned: Statuses that mean "returned", folded; of orders only.
        unit_price: Whether `sale_price` is for one unit, not for the line; of order items only.
        replaces: What a later file of the same name takes the place of: rows of its keys, or the
            whole earlier file.
        version: Column whose greater value is the later row of a key, before upload time; None for
            upload time alone.
    """

    name: str
    folder: str
    key: tuple[str, ...]
    columns: Mapping[str, Column]
    returned: tuple[str, ...] = ()
    unit_price: bool = False
    replaces: DatasetReplaces = "rows"
    version: str | None = None

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns.values() if column.required)


@dataclass(frozen=True, kw_only=True)
class Contract:
    """A contract.

    Attributes:
        name: Name in messages.
        datasets: Name -> dataset, for all of `DATASETS`.
        digest: Hash of `text`.
        delimiter: One ASCII character.
        null_values: Texts that mean "no value".
        source_time_zone: Zone of timestamps without offset.
        business_time_zone: Zone whose calendar gives an order its date.
        max_reject_rate: Share of rejects above which an object is refused.
        max_record_bytes: Longest record.
        max_columns: Most columns of a header.
        max_inflation: Most decompressed bytes per compressed byte.
        text: The TOML.
        shop: Meaning of a contract of language 2, which has no `datasets`.
        expect: Which files come when.
    """

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
    shop: Shop | None = None
    expect: tuple[Expectation, ...] = ()

    @property
    def returned(self) -> tuple[str, ...]:
        """Statuses, of orders and items, that mean "returned"; lower case."""
        return self.datasets["orders"].returned

    def replaces_file(self, dataset: str) -> bool:
        """Return whether a later file of a dataset replaces the earlier one of its name whole."""
        return dataset in self.datasets and self.datasets[dataset].replaces == "file"

    def dataset_of(self, key: str) -> str | None:
        """Find the dataset of an object by its folders; the nearest to the object wins.

        Args:
            key: Key of the object.

        Returns:
            None where no folder is one of the contract's.
        """
        folders = {dataset.folder: name for name, dataset in self.datasets.items()}
        for segment in reversed(key.split("/")[:-1]):
            if segment in folders:
                return folders[segment]
        return None


def header_form(text: str) -> str:
    """Fold a header for comparison."""
    return fold(text)
