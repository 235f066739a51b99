"""Turn what a store returns damaged into an error that names it."""

from __future__ import annotations

import re
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


def damaged_record(what: str, data: bytes | str, error: Exception) -> StoreError:
    """Build an error that names the source object where its name can still be read."""
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)
    named = next(
        (
            found
            for name in ("url", "source_id")
            if (found := re.search(rf'"{name}":"([^"\x00-\x1f]+)"', text))
        ),
        None,
    )
    owner = f" of {named[1]}" if named else f" that begins with {text[:40]!r}"
    return StoreError(
        f"the ledger: {what}{owner}: expected JSON as it was written, got {len(text)} characters "
        f"that are damaged ({type(error).__name__}: {error})"
    )
