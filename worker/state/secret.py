"""The secret of a ledger: keys of stored digests and hashes of ids derive from it."""

from __future__ import annotations

import secrets
from typing import Protocol

from worker.state import Progress

SECRET_BYTES = 32
"""Length of a secret."""


class SecretLedger(Protocol):
    """What is asked of a ledger; see `worker.state.Ledger`."""

    async def erasure_key(self, proposed: bytes | None = None) -> bytes | None: ...


async def secret_of(ledger: SecretLedger, *, dry_run: bool = False) -> bytes:
    """Return the ledger's secret, which is drawn when it is first needed.

    Args:
        ledger: Keeps it.
        dry_run: Whether one that is drawn is used once, and not kept.

    Raises:
        StoreError: The ledger fails, after retries.
    """
    found = await ledger.erasure_key()
    if found is None:
        drawn = secrets.token_bytes(SECRET_BYTES)
        found = drawn if dry_run else await ledger.erasure_key(drawn)
    assert found is not None  # noqa: S101  (it was proposed)
    return found


async def draw_secret(ledger: SecretLedger, progress: Progress) -> None:
    """Draw the ledger's secret before its first KPIs are done, so that every copy of it has it.

    A customer who is erased once more, after a copy from before was restored, then gets the same
    pseudonym: files that the first erasure rewrote have it already.

    Raises:
        StoreError: The ledger fails, after retries.
    """
    if not progress.published:
        await secret_of(ledger)
