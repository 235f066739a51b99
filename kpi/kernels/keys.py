"""Represent row keys as numbers, and find the latest row of each key.

Integers are their own keys. Any other key is a 128-bit hash, so neither memory nor time grows with
the length of an id.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from kpi.kernels.arrays import Mask, Positions, Words
from kpi.kernels.digits import whole_numbers
from kpi.kernels.masks import booleans

if TYPE_CHECKING:
    from kpi.kernels.key_hashing import KeyHasher

INTEGER_CHECK = np.uint64(int.from_bytes(os.urandom(8)))
"""Second word of the key of a text that is a whole number, whose first word is the number. The key
of any other text is a hash, whose second word is this one with a probability of 2**-64."""

KEY_BLOCK_ROWS = 1 << 18
"""Keys inserted or compared at once: their intermediate arrays fit the cache."""


@dataclass(frozen=True)
class Keys:
    """Keys as numbers, equal where the keys are equal.

    An integer column is its own values. Of any other key there are 128 bits of hash under a secret
    key: `key_hashing` states the bound for two keys to share one, also for chosen keys. The check
    of the key is added to one half of it. That changes no bound, since nothing that is added to
    what looks random makes it less so, and keys that share a hash all the same stay apart.

    Attributes:
        high: The integers themselves, or the first half of the hash.
        low: The second half of the hash and the check; None for integers.
    """

    high: Words
    low: Words | None

    def __len__(self) -> int:
        return len(self.high)

    @property
    def integers(self) -> Mask | None:
        """Which keys are of texts that are whole numbers; None where none may be."""
        if self.low is None or not len(self.low):
            return None
        if self.low.strides == (0,):
            return np.broadcast_to(self.low[0] == INTEGER_CHECK, len(self.low))
        found: Mask = self.low == INTEGER_CHECK
        return found if found.any() else None

    def take(self, rows: Mask | Positions | slice) -> Keys:
        """Select keys by positions, by a mask or by a slice."""
        return Keys(self.high[rows], None if self.low is None else self.low[rows])

    def mixed(self) -> Words:
        """Mix each key to 64 bits, for uses in which two keys may rarely share them."""
        return self.high if self.low is None else self.high ^ self.low


NO_KEYS = Keys(np.zeros(0, np.uint64), None)


def keys_of(columns: Sequence[pa.ChunkedArray], hasher: KeyHasher | None = None) -> Keys:
    """Compute the keys of some rows.

    Args:
        columns: The columns of the key, each without null: integers, UUIDs or strings.
        hasher: Hashes what is not an integer, without the check; the hasher of this process by
            default, with it. Keys are comparable under one hasher alone.
    """
    if len(columns) == 1 and pa.types.is_integer(columns[0].type):
        return Keys(columns[0].to_numpy().view(np.uint64), None)
    from kpi.kernels.key_checks import check_rows  # noqa: PLC0415  (with the hasher)
    from kpi.kernels.key_hashing import PROCESS_HASHER  # noqa: PLC0415  (cryptography, 10 ms)

    if hasher is not None:
        return Keys(*hasher.hash_rows(columns))  # may be stored, and the check is of this process
    high, low = PROCESS_HASHER.hash_rows(columns)
    return Keys(high, low ^ check_rows(columns))


def text_keys(texts: pa.ChunkedArray, hasher: KeyHasher | None = None) -> Keys:
    """Compute the keys of texts, of which many are whole numbers; null is an empty text.

    These are decoded in a fifth of the time that a hash takes, and are addressed directly where
    they lie close together.

    Args:
        texts: The texts.
        hasher: Hashes all others: see `keys_of`.
    """
    if texts.null_count:
        texts = texts.fill_null("")
    parts = [whole_numbers(chunk) for chunk in texts.chunks]
    good = np.concatenate([np.zeros(0, bool), *(one for one, _ in parts)])
    high = np.concatenate([np.zeros(0, np.int64), *(one for _, one in parts)]).view(np.uint64)
    if good.all():
        return Keys(high, np.broadcast_to(INTEGER_CHECK, len(high)))
    others = keys_of([texts.filter(booleans(~good)) if good.any() else texts], hasher)
    low = np.full(len(high), INTEGER_CHECK)
    high[~good] = others.high
    if others.low is not None:
        low[~good] = others.low
    return Keys(high, low)


def concat_keys(parts: Sequence[Keys]) -> Keys:
    """Concatenate keys of one kind; at least one part."""
    lows = [part.low for part in parts if part.low is not None]
    high = np.concatenate([part.high for part in parts])
    return Keys(high, np.concatenate(lows) if lows else None)


def latest_rows(keys: Keys) -> Mask:
    """Mark the last row of each key.

    Args:
        keys: Keys of rows from the earliest version to the latest.
    """
    halves = [keys.high] if keys.low is None else [keys.low, keys.high]
    by_key = np.lexsort(halves)  # stable: rows of a key keep their order
    last = np.ones(len(keys), bool)
    if len(keys):
        last[:-1] = np.logical_or.reduce([half[by_key][1:] != half[by_key][:-1] for half in halves])
    latest = np.zeros(len(keys), bool)
    latest[by_key[last]] = True
    return latest
