"""Keys: which row of a key is the latest, and where a key stands among others.

Keys are handled as numbers (`Keys`): integers as they are, anything else as 128 bits of hash, so
that neither memory nor time grows with the length of an id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kpi.kernels.arrays import Mask, Positions, Words
from kpi.kernels.key_hashing import _hash, _mix

BLOCK_KEYS = 1 << 18
"""Keys put into a hash table at once: what is needed for it meanwhile fits the cache."""


@dataclass(frozen=True)
class Keys:
    """Keys as numbers that are equal where the keys are.

    A single integer column is its own values, and one of UUIDs is too, but for which bit is which.
    Of anything else there are 128 bits of hash. That any two of n different keys have the same is
    as likely as n**2 / 2**129 (the birthday bound), which is 1.5e-21 for a billion of them.

    Attributes:
        high: The integers themselves, or the first half of the hash.
        low: The second half of the hash; None for integers.
    """

    high: Words
    low: Words | None

    def __len__(self) -> int:
        return len(self.high)

    def take(self, rows: Mask | Positions | slice) -> Keys:
        """Some of them, by their positions, by a mask or by a slice."""
        return Keys(self.high[rows], None if self.low is None else self.low[rows])


NO_KEYS = Keys(np.zeros(0, np.uint64), None)


def keys_of(columns: Sequence[pa.ChunkedArray]) -> Keys:
    """The keys of some rows.

    Args:
        columns: The columns of the key, each without null; integers, UUIDs or strings.
    """
    if len(columns) == 1 and pa.types.is_integer(columns[0].type):
        return Keys(columns[0].to_numpy().view(np.uint64), None)
    high, low = _hash(columns[0])
    for column in columns[1:]:
        high, low = _mix(high), _mix(low)
        more_high, more_low = _hash(column)
        high += more_high
        low += more_low
    return Keys(high, low)


def concat_keys(parts: Sequence[Keys]) -> Keys:
    """All of them in turn; at least one part, and all of one kind."""
    lows = [part.low for part in parts if part.low is not None]
    high = np.concatenate([part.high for part in parts])
    return Keys(high, np.concatenate(lows) if lows else None)


def latest_rows(keys: Keys) -> Mask:
    """The last row of each key.

    Args:
        keys: Of rows from the earliest version to the latest.
    """
    halves = [keys.high] if keys.low is None else [keys.low, keys.high]
    by_key = np.lexsort(halves)  # stable: rows of a key stay in their order
    last = np.ones(len(keys), bool)
    if len(keys):
        last[:-1] = np.logical_or.reduce([half[by_key][1:] != half[by_key][:-1] for half in halves])
    latest = np.zeros(len(keys), bool)
    latest[by_key[last]] = True
    return latest
