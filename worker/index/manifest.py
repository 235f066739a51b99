"""The manifest of the key index: its runs, and what they cover."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from worker.errors import DamagedObject

RUN_KEY = re.compile(r"index/[0-9a-f]{32}\.run")
"""Keys of runs, below the workspace."""

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
        key: Its key below the workspace.
        size_bytes: Its length.
        crc: CRC-32 of all of its bytes.
        sections: Table -> its pointers.
    """

    key: str
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
        contract: Digest of the contract whose clean rows are indexed.
        erased: Sequence of the last erasure of a customer, which may have moved rows; 0 for none.
        up_to: Ledger sequence up to which all of them are.
        tables: Names of the tables.
        runs: From the newest to the oldest.
        retired: Keys of runs that the manifest before had and this one has not: a reader may still
            use them, the next manifest's writer deletes them.
    """

    contract: str = ""
    erased: int = 0
    up_to: int = 0
    tables: tuple[str, ...] = ()
    runs: tuple[Run, ...] = ()
    retired: tuple[str, ...] = field(default=())

    def is_like(self, other: Manifest) -> bool:
        """Return whether both are of the same tables and of rows in the same places."""
        return (self.tables, self.erased) == (other.tables, other.erased)

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
            if not all(RUN_KEY.fullmatch(key) for key in (*retired, *(run.key for run in runs))):
                raise ValueError("a key that is no run's")
            return cls(**fields, tables=tables, runs=tuple(runs), retired=retired)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DamagedObject(
                url=url, expected="a manifest of the key index", actual=f"damaged bytes ({error})"
            ) from error


def _run(fields: dict[str, Any]) -> Run:
    sections = {name: Section(**one) for name, one in fields.pop("sections").items()}
    return Run(**fields, sections=sections)
