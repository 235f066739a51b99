"""Count instants from the epoch, 1970-01-01T00:00:00Z, in microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

MICROSECONDS_PER_DAY = 86_400_000_000


def microseconds_since_epoch(instant: datetime) -> int:
    """Count the whole microseconds from the epoch to an aware `datetime`."""
    return (instant - EPOCH) // timedelta(microseconds=1)
