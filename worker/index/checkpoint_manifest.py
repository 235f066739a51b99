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
import orjson

from kpi.kernels.arrays import Int64s
from worker.errors import DamagedObject
from worker.state.records import Ruling

SEGMENT_NAME = re.compile(r"[0-9a-f]{32}\.parquet")
"""Names of segments, in the folder of the index."""

FORMAT = 2
"""Version of manifest and segments. Another one is a checkpoint that is not there."""

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


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointManifest:
    """What a checkpoint holds.

    Attributes:
        up_to: Ledger sequence of the last record that it knows; 0 for no checkpoint.
        ledger: Identifies the ledger's last records up to there.
        contract: Identifies the contract in force, and the erasures, by which entries were chosen.
        uncounted: Sequences of the entries that do not count, ascending.
        rulings: Kind, source object and sequence of the last ruling on each.
        segments: From the earliest sequences to the latest.
        retired: Names of segments that the manifest before had and this one has not.
    """

    up_to: int = 0
    ledger: str = ""
    contract: str = ""
    uncounted: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))
    rulings: Sequence[Ruling] = ()
    segments: tuple[Segment, ...] = ()
    retired: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its objects."""
        return tuple(segment.name for segment in self.segments)

    def to_json(self) -> bytes:
        steps = np.diff(self.uncounted, prepend=0).astype("<i8").tobytes()
        return orjson.dumps(
            {
                "format": FORMAT,
                "up_to": self.up_to,
                "ledger": self.ledger,
                "contract": self.contract,
                # Most or few of them count: their distances compress well.
                "uncounted": base64.b64encode(zlib.compress(steps)).decode(),
                "rulings": [[one.kind, one.source_id, one.sequence] for one in self.rulings],
                "segments": self.segments,
                "retired": self.retired,
            }
        )

    @classmethod
    def from_json(cls, data: bytes, url: str) -> CheckpointManifest:
        """Parse the text of `to_json`; one of another format is empty.

        Raises:
            DamagedObject: It is damaged.
        """
        try:
            fields: dict[str, Any] = orjson.loads(data)
            if fields.pop("format") != FORMAT:
                return cls()
            steps = zlib.decompress(base64.b64decode(fields.pop("uncounted")))
            found = cls(
                uncounted=np.cumsum(np.frombuffer(steps, "<i8")),
                rulings=tuple(_ruling(*one) for one in fields.pop("rulings")),
                segments=tuple(Segment(**one) for one in fields.pop("segments")),
                retired=tuple(fields.pop("retired")),
                **fields,
            )
            if not all(SEGMENT_NAME.fullmatch(name) for name in (*found.names, *found.retired)):
                raise ValueError("a name that is no segment's")
        except (ValueError, TypeError, KeyError, AttributeError, zlib.error) as error:
            raise DamagedObject(
                url=url, expected="a manifest of a checkpoint", actual=f"damaged bytes ({error})"
            ) from error
        return found


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
