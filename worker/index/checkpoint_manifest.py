"""The manifest of a checkpoint: its objects, and what counts as of its sequence."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from kpi.kernels.arrays import Int64s
from worker.index.stored_manifest import StoredManifest
from worker.state.records import Ruling

SEGMENT_NAME = re.compile(r"[0-9a-f]{32}\.parquet")
"""Names of segments, in the folder of the index."""

_UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """One immutable object with the uploads of a range of sequences.

    Attributes:
        name: Its name in the folder of the index.
        rows: Number of its rows.
        size_bytes: Its length.
        crc: CRC-32 of its bytes.
    """

    name: str
    rows: int
    size_bytes: int
    crc: int


@dataclass(frozen=True, kw_only=True)
class CheckpointManifest(StoredManifest):
    """What a checkpoint holds: the uploads up to `up_to`.

    Attributes:
        ledger: Identifies the ledger's last records up to there.
        contract: Identifies the contract in force, and the erasures, by which entries were chosen.
        uncounted: Sequences of the entries that do not count, ascending.
        rulings: Kind, source object and sequence of the last ruling on each.
        segments: From the earliest sequences to the latest.
    """

    KIND = "a checkpoint"
    FORMAT = 2
    NAMES = SEGMENT_NAME

    ledger: str = ""
    contract: str = ""
    uncounted: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))
    rulings: Sequence[Ruling] = ()
    segments: tuple[Segment, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its segments."""
        return tuple(segment.name for segment in self.segments)

    def to_fields(self) -> dict[str, Any]:
        steps = np.diff(self.uncounted, prepend=0).astype("<i8").tobytes()
        return {
            "up_to": self.up_to,
            "retired": self.retired,
            "ledger": self.ledger,
            "contract": self.contract,
            # Most or few of them count: their distances compress well.
            "uncounted": base64.b64encode(zlib.compress(steps)).decode(),
            "rulings": [[one.kind, one.source_id, one.sequence] for one in self.rulings],
            "segments": self.segments,
        }

    @classmethod
    def parse_fields(cls, fields: dict[str, Any]) -> dict[str, Any]:
        steps = zlib.decompress(base64.b64decode(fields["uncounted"]))
        return fields | {
            "uncounted": np.cumsum(np.frombuffer(steps, "<i8")),
            "rulings": tuple(_ruling(*one) for one in fields["rulings"]),
            "segments": tuple(Segment(**one) for one in fields["segments"]),
        }


def _ruling(kind: Any, source_id: str, sequence: int) -> Ruling:  # noqa: ANN401  (parsed JSON)
    return Ruling(
        kind=kind,
        ruling_id="",
        source_id=source_id,
        url="",
        reason="",
        recorded_at=_UNKNOWN_TIME,
        sequence=sequence,
    )
