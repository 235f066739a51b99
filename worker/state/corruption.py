"""Turn what a store returns damaged into an error that names it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from worker.errors import StoreError

DAMAGE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, zlib.error)
"""What parsers of texts, numbers, JSON and compressed bytes raise for damaged input."""


@contextmanager
def parsing(what: str) -> Iterator[None]:
    """Parse something that a store returned.

    Args:
        what: Names it in the error.

    Raises:
        StoreError: It is not as it was written.
    """
    try:
        yield
    except DAMAGE as error:
        raise StoreError(
            expected=f"a {what} as it was written",
            actual=f"{type(error).__name__}: {error}",
            retryable=False,
        ) from error
