"""The manifest of the key index: its runs, and what they cover."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from worker.errors import DamagedObject

RUN_NAME = re.compile(r"[0-9a-f]{32}\.run")
"""Names of runs, in the folder of the index."""

FORMAT = 1
"""Version of manifest and runs. Another one is an index that is not there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """The pointers of one table in a run.

    Attributes:
        offset: Its first byte in the object.
        pointers: Number of pointers.
        crc: CRC-32 of the fences that follow on them.
    """

    offset: int
    pointers: int
    crc: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One immutable object with sorted pointers.

    Attributes:
        name: Its name in the folder of the index.
        size_bytes: Its length.
        crc: CRC-32 of all of its bytes.
        sections: Table -> its pointers.
    """

    name: str
    size_bytes: int
    crc: int
    sections: Mapping[str, Section]

    @property
    def pointers(self) -> int:
        return sum(section.pointers for section in self.sections.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What the index holds.

    Attributes:
        up_to: Ledger sequence up to which every clean row has its pointers.
        files: Identifies the ledger and its clean files up to that sequence: those of a ledger that
            was restored, of another contract, or rewritten for an erasure, are others.
        tables: Names of the tables.
        runs: From the newest to the oldest.
        retired: Names of runs that the manifest before had and this one has not: a reader may still
            use them, the next manifest's writer deletes them.
    """

    up_to: int = 0
    files: str = ""
    tables: tuple[str, ...] = ()
    runs: tuple[Run, ...] = ()
    retired: tuple[str, ...] = field(default=())

    def to_json(self) -> bytes:
        return orjson.dumps({"format": FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, data: bytes, url: str) -> Manifest:
        """Parse the text of `to_json`; one of another format is empty.

        Raises:
            DamagedObject: It is damaged.
        """
        try:
            fields: dict[str, Any] = orjson.loads(data)
            if fields.pop("format") != FORMAT:
                return cls()
            runs = [_run(run) for run in fields.pop("runs")]
            tables, retired = (tuple(fields.pop(name)) for name in ("tables", "retired"))
            names = (*retired, *(run.name for run in runs))
            if not all(RUN_NAME.fullmatch(name) for name in names):
                raise ValueError("a name that is no run's")
            return cls(**fields, tables=tables, runs=tuple(runs), retired=retired)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedObject(
                url=url, expected="a manifest of the key index", actual=f"damaged bytes ({error})"
            ) from error


def _run(fields: dict[str, Any]) -> Run:
    sections = {name: Section(**one) for name, one in fields.pop("sections").items()}
    return Run(**fields, sections=sections)
