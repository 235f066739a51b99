"""Names of shops, and keys with the shop in front.

Several shops share a workspace, a SQLite file or a table prefix. Each has a ledger, a contract,
a sequence and a progress of its own.
"""

from __future__ import annotations

import re

from kpi.aggregation.tables import DEFAULT_SHOP
from worker.errors import ConfigError

SHOP_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
"""Lower case, as names of folders do not differ by case everywhere; no separator of any key."""

SEPARATOR = "#"
"""Stands between the shop and the rest of a key in DynamoDB."""

SHOP_FOLDER = "shop="
"""What a shop's folder in the workspace begins with."""


def read_shop(name: str | None, option: str = "--shop") -> str:
    """Check the name of a shop; None for the default one.

    Raises:
        ConfigError: It cannot be part of every key.
    """
    if name is None:
        return DEFAULT_SHOP
    if SHOP_NAME.fullmatch(name) is None:
        raise ConfigError(
            option=option, expected="1 to 40 of a-z, 0-9 and -, not - first", actual=repr(name)
        )
    return name


def with_shop(shop: str, name: str) -> str:
    """Return a partition of the ledger table: the default shop has no lead."""
    return name if shop == DEFAULT_SHOP else f"{shop}{SEPARATOR}{name}"


def shop_folder(shop: str) -> str:
    """Return the folder of a shop below the workspace: empty, or with its slash."""
    return "" if shop == DEFAULT_SHOP else f"{SHOP_FOLDER}{shop}/"
