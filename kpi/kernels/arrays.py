"""Name the array types that kernels share, by element type and meaning."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
"""One truth value for each row."""

Bytes = npt.NDArray[np.uint8]
"""Raw bytes, as of texts."""

Words = npt.NDArray[np.uint64]
"""Unsigned 64-bit words: hashes, or eight bytes of a text."""

Int64s = npt.NDArray[np.int64]
"""Signed 64-bit values: amounts at a scale, counts, microseconds."""

Positions = npt.NDArray[np.int64]
"""Row numbers, counted from 0; -1 says "no such row" where a function documents it."""
