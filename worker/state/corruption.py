"""What comes back from a store and is not what was written: told in words that name it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from worker.errors import StoreError

DAMAGE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, zlib.error)
"""What readers of texts, numbers, JSON and compressed bytes raise where these are others."""


@contextmanager
def as_written(what: str) -> Iterator[None]:
    """Reading something of ours.

    Raises:
        StoreError: It is not as we write it.
    """
    try:
        yield
    except DAMAGE as error:
        raise StoreError(
            expected=f"a {what} as it was written",
            actual=f"{type(error).__name__}: {error}",
            retryable=False,
        ) from error
