"""Receipts: the ledger entry and the effect of one source object, for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kpi.contract.receipt_notes import CONTRADICTING

if TYPE_CHECKING:
    from worker.state import Effect, Entry, Ruling


def receipt(
    entry: Entry, effect: Effect | None = None, ruling: Ruling | None = None
) -> dict[str, Any]:
    """Flatten a ledger entry, its effect and the last ruling on it into the printed fields."""
    fields: dict[str, Any] = {
        "source_id": entry.source_id,
        "sequence": entry.sequence,
        "dataset": entry.dataset,
        "url": entry.url,
        "verdict": entry.verdict,
        "reason": entry.reason,
        "rows_read": entry.rows_read,
        "rows_clean": entry.rows_clean,
        **_rejected(entry),
        "reasons": entry.reasons,
        "size_bytes": entry.size_bytes,
        "version": entry.version,
        "sha256": entry.sha256,
        "content": entry.content_id,
        "uploaded_at": entry.uploaded_at.isoformat(),
        "seconds": entry.seconds,
    }
    if entry.feeds or entry.rows_passed_over:
        fields["rows_passed_over"] = entry.rows_passed_over
    if entry.feeds:
        fields["feeds"] = {name: asdict(counts) for name, counts in entry.feeds.items()}
    if entry.notes:
        fields["notes"] = entry.notes
    if effect is not None:
        fields |= {
            "as_of": effect.as_of,
            "superseded_rows": effect.superseded_rows,
            "waiting_items": effect.waiting_items,
            "days": effect.days,
            "first_day": effect.first_day and effect.first_day.isoformat(),
            "last_day": effect.last_day and effect.last_day.isoformat(),
        }
        if effect.taken_over_orders:
            fields["taken_over_orders"] = effect.taken_over_orders
    if ruling is not None:
        fields |= {
            "ruling": ruling.kind,
            "ruling_reason": ruling.reason,
            "ruled_at": ruling.recorded_at.isoformat(),
            "ruling_sequence": ruling.sequence,
        }
    return fields


def _rejected(entry: Entry) -> dict[str, int]:
    """Count the rejects: where some were repaired, as they came, repaired, and still open."""
    if entry.repair is None:
        return {"rows_rejected": entry.rows_rejected}
    return {
        "rows_rejected": entry.rows_rejected + entry.repair.rows,
        "rows_repaired": entry.repair.rows,
        "rows_open": entry.rows_rejected,
    }


def doubts_of(entry: Entry) -> dict[str, int]:
    """Return the notes of an accepted file whose numbers may be meant otherwise: code -> count."""
    return {
        name: count
        for feed in entry.feeds.values()
        for name, count in feed.notes.items()
        if name.startswith(CONTRADICTING)
    }
