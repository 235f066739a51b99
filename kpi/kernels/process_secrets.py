"""Draw the secrets of this process, so that nobody can choose keys that collide in its tables.

They change speed and, with the probability stated in `key_hashing`, nothing else. No secret leaves
the process: hashes and slots are never stored, logged or sent.
"""

from __future__ import annotations

import os

import numpy as np

HASH_KEY = os.urandom(16)
"""AES key of the hash of texts."""

MULTIPLIER, SECOND_MULTIPLIER = (np.uint64(int.from_bytes(os.urandom(8)) | 1) for _ in range(2))
"""Odd factors of multiplicative hashing: any two keys share the upper bits of their products with a
probability of at most twice that of random bits (Dietzfelbinger et al., 1997)."""

CHECK_MULTIPLIER, SECOND_CHECK_MULTIPLIER = (
    np.uint64(int.from_bytes(os.urandom(8)) | 1) for _ in range(2)
)
"""Odd factors of the check of a key, which no other function shares."""
