"""Eight characters as one 64-bit word, so that a step deals with all of them."""

from __future__ import annotations

import numpy as np


def word(*codes: int) -> np.uint64:
    """Eight bytes as they lie in memory."""
    return np.uint64(int.from_bytes(bytes(codes), "little"))
