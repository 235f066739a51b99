"""Which files count after each record of a random history, told without any of the product."""

from __future__ import annotations

import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from tests.support.random_uploads import RandomUploads
from worker.state import Entry


@dataclass(frozen=True)
class Commit:
    """One file as it was committed.

    Attributes:
        sequence: Of its entry.
        name: Dataset and name, which later versions of the file share.
        time: When it was uploaded, in seconds.
        source_id: The source object.
        copy: Its bytes.
    """

    sequence: int
    name: tuple[str, str]
    time: float
    source_id: str
    copy: Path


class RecordedUploads(RandomUploads):
    """Keeps what was committed and ruled, and says which files count after each record."""

    commits: list[Commit]
    rulings: list[tuple[int, str, str]]
    """Sequence, source object, kind."""

    def record(self, entry: Entry, path: Path) -> None:
        """Keep a copy of a file that was committed as a new entry."""
        if any(one.sequence == entry.sequence for one in self.commits):
            return
        copy = self.home / "copies" / f"{entry.sequence}.csv"
        copy.parent.mkdir(exist_ok=True)
        shutil.copy2(path, copy)
        name = (path.parent.name, path.name)
        time = entry.uploaded_at.timestamp()
        self.commits.append(Commit(entry.sequence, name, time, entry.source_id, copy))

    async def rule_and_record(self) -> None:
        """Retract or restore some file."""
        await self.rule()
        last = (await self.state.rulings())[-1]
        self.rulings.append((last.sequence, last.source_id, last.kind))

    def files_at(self, sequence: int) -> dict[str, list[Path]]:
        """Return dataset -> the files that count, from the earliest version to the latest."""
        by_name: dict[tuple[str, str], list[Commit]] = defaultdict(list)
        for one in self.commits:
            if one.sequence <= sequence:
                by_name[one.name].append(one)
        counted = [commit for commits in by_name.values() for commit in self._of(commits, sequence)]
        found: dict[str, list[Path]] = defaultdict(list)
        for one in sorted(counted, key=lambda one: (one.time, one.name[1])):
            found[one.name[0]].append(one.copy)
        return found

    def _of(self, commits: list[Commit], sequence: int) -> list[Commit]:
        """Return those of the versions of one name that count (`worker/state/counted.py`)."""
        ordered = sorted(commits, key=lambda one: (one.time, one.source_id))
        kept = [
            one for run in _runs(ordered) if not self._is_retracted(run, sequence) for one in run
        ]
        firsts = [run[0] for run in _runs(kept)]
        return firsts[-1:] if self.contract.replaces_file(commits[0].name[0]) else firsts

    def _is_retracted(self, run: list[Commit], sequence: int) -> bool:
        ids = {one.source_id for one in run}
        kinds = [kind for at, source, kind in self.rulings if at <= sequence and source in ids]
        return kinds[-1:] == ["retraction"]


def _runs(commits: list[Commit]) -> list[list[Commit]]:
    """Group neighbours of equal bytes."""
    runs: list[list[Commit]] = []
    for one in commits:
        if runs and runs[-1][-1].copy.read_bytes() == one.copy.read_bytes():
            runs[-1].append(one)
        else:
            runs.append([one])
    return runs
