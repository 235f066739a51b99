"""Names below an input: which are no data, and which dataset folder a misplaced file resembles."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

from kpi.contract.marker_names import MARKER_NAMES

IGNORED_NAMES = re.compile("|".join(MARKER_NAMES), re.IGNORECASE | re.DOTALL)
"""Files and folders that are passed over."""


def is_ignored(relative_key: str) -> bool:
    """Look for an ignored name among the segments of a key, relative to its input."""
    return any(map(IGNORED_NAMES.fullmatch, relative_key.split("/")))


def nearest_folder(relative_key: str, folders: Iterable[str]) -> str:
    """Choose the dataset folder that a segment of a key resembles most.

    `order-items/1.csv` and `Orders.csv` resemble `order_items` and `orders`.
    """
    *parents, name = relative_key.split("/")
    segments = [_plain(one) for one in (*parents, name.split(".")[0])]

    def likeness(folder: str) -> float:
        plain = _plain(folder)
        return max(SequenceMatcher(None, plain, one).ratio() for one in segments)

    return max(folders, key=likeness)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]", "", text).casefold()
