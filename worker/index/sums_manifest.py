"""The manifest of the sums: of which periods they are kept, and where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from worker.index.manifest import RUN_NAME
from worker.index.stored_manifest import StoredManifest

PAGE_NAME = re.compile(r"[0-9a-f]{32}\.sums")
"""Names of pages, in the folder of the index."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One immutable object with the sums of a period.

    Attributes:
        name: Its name in the folder of the index.
        size_bytes: Its length.
        crc: CRC-32 of its bytes.
        customers: Name of the run with the customers of the period's orders.
    """

    name: str
    size_bytes: int
    crc: int
    customers: str


@dataclass(frozen=True, kw_only=True)
class SumsManifest(StoredManifest):
    """Of which periods there are sums: those of the KPIs at `up_to`.

    Attributes:
        ledger: Identifies the ledger's last records up to there.
        contract: Identifies the contract in force, and the erasures.
        pages: Period -> its page.
    """

    KIND = "sums"
    # Pages of format 1 had the sums of categories alone, by position.
    FORMAT = 2
    NAMES = re.compile(f"{PAGE_NAME.pattern}|{RUN_NAME.pattern}")

    ledger: str = ""
    contract: str = ""
    pages: Mapping[int, Page] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """Names of its objects."""
        return {name for page in self.pages.values() for name in (page.name, page.customers)}

    def to_fields(self) -> dict[str, Any]:
        pages = {str(period): asdict(page) for period, page in sorted(self.pages.items())}
        return asdict(self) | {"pages": pages}

    @classmethod
    def parse_fields(cls, fields: dict[str, Any]) -> dict[str, Any]:
        pages = {int(period): Page(**one) for period, one in fields["pages"].items()}
        return fields | {"pages": pages}
