"""The manifest of the key index: its runs, and what they cover."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from worker.index.stored_manifest import StoredManifest

RUN_NAME = re.compile(r"[0-9a-f]{32}\.run")
"""Names of runs, in the folder of the index."""


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


@dataclass(frozen=True, kw_only=True)
class Manifest(StoredManifest):
    """What the index holds: up to `up_to` every clean row has its pointers.

    Attributes:
        files: Identifies the ledger and its clean files up to that sequence: those of a ledger that
            was restored, of another contract, or rewritten for an erasure, are others.
        tables: Names of the tables.
        runs: From the newest to the oldest.
    """

    KIND = "the key index"
    FORMAT = 1
    NAMES = RUN_NAME

    files: str = ""
    tables: tuple[str, ...] = ()
    runs: tuple[Run, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its runs."""
        return tuple(run.name for run in self.runs)

    @classmethod
    def parse_fields(cls, fields: dict[str, Any]) -> dict[str, Any]:
        runs = tuple(_run(run) for run in fields["runs"])
        return fields | {"tables": tuple(fields["tables"]), "runs": runs}


def _run(fields: dict[str, Any]) -> Run:
    sections = {name: Section(**one) for name, one in fields.pop("sections").items()}
    return Run(**fields, sections=sections)
