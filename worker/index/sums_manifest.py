"""The manifest of the sums: of which periods they are kept, and where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from worker.errors import DamagedObject
from worker.index.manifest import RUN_NAME

FORMAT = 2
"""Version of manifest and pages. Another one is sums that are not there. Pages of format 1 had the
sums of categories alone, by position."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class SumsManifest:
    """Of which periods there are sums.

    Attributes:
        up_to: Ledger sequence whose KPIs they are those of.
        ledger: Identifies the ledger's last records up to there.
        contract: Identifies the contract in force, and the erasures.
        pages: Period -> its page.
        retired: Names of objects that the manifest before had and this one has not.
    """

    up_to: int = 0
    ledger: str = ""
    contract: str = ""
    pages: Mapping[int, Page] = field(default_factory=dict)
    retired: tuple[str, ...] = ()

    @property
    def names(self) -> set[str]:
        """Names of its objects."""
        return {name for page in self.pages.values() for name in (page.name, page.customers)}

    def to_json(self) -> bytes:
        pages = {str(period): asdict(page) for period, page in sorted(self.pages.items())}
        return orjson.dumps(
            {
                "format": FORMAT,
                "up_to": self.up_to,
                "ledger": self.ledger,
                "contract": self.contract,
                "pages": pages,
                "retired": self.retired,
            }
        )

    @classmethod
    def from_json(cls, data: bytes, url: str) -> SumsManifest:
        """Parse the text of `to_json`; one of another format is empty.

        Raises:
            DamagedObject: It is damaged.
        """
        try:
            fields: dict[str, Any] = orjson.loads(data)
            if fields.pop("format") != FORMAT:
                return cls()
            pages = {int(period): Page(**one) for period, one in fields.pop("pages").items()}
            found = cls(pages=pages, retired=tuple(fields.pop("retired")), **fields)
            known = (PAGE_NAME, RUN_NAME)
            if not all(
                any(one.fullmatch(name) for one in known) for name in (*found.names, *found.retired)
            ):
                raise ValueError("a name that is no page's")
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedObject(
                url=url, expected="a manifest of sums", actual=f"damaged bytes ({error})"
            ) from error
        return found
