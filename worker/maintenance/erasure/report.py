"""Say what an erasure has touched, and what it has not."""

from __future__ import annotations

from dataclasses import dataclass

from kpi.contract.receipt_notes import Note
from worker.maintenance.erasure.erase import Erased
from worker.maintenance.erasure.purge import Purged
from worker.maintenance.erasure.raw import RawFile
from worker.objects import OldVersion
from worker.runtime.wording import counted
from worker.state.records import ErasureMode


@dataclass(frozen=True, kw_only=True)
class Report:
    """What became of each place.

    Attributes:
        mode: What was asked.
        erased: What was rewritten.
        purged: What was deleted.
        raw: Raw files that were rewritten, or may still have the customer; None where nobody said
            where they are.
        old_versions: What buckets keep of replaced objects; None where one must not be asked.
    """

    mode: ErasureMode
    erased: Erased
    purged: Purged
    raw: tuple[RawFile, ...] | None = None
    old_versions: tuple[OldVersion, ...] | None = ()

    def rows(self) -> list[dict[str, object]]:
        """Return one row for each place."""
        rows = self.erased.rows
        clean = {
            "pseudonymise": rows.get(str(Note.PSEUDONYMISED), 0),
            "delete": rows.get(str(Note.ERASED), 0),
        }[self.mode]
        verb = "got a pseudonym" if self.mode == "pseudonymise" else "deleted"
        return [
            _row("clean rows", f"{counted(clean, 'row')} {verb}", self._files("clean")),
            _row(
                "rejects",
                f"{counted(rows.get(str(Note.ERASED_REJECTS), 0), 'text')} emptied",
                self._files("rejects"),
            ),
            _row("replaced objects", "deleted", self.purged.objects),
            _row("ledger and KPI tables", "hold no id of a customer", ()),
            *self._raw_rows(),
            *self._version_rows(),
        ]

    def _raw_rows(self) -> list[dict[str, object]]:
        if self.raw is None:
            return [_row("raw files", "not touched: --raw names where they are", ())]
        changed = [one for one in self.raw if one.records]
        records = sum(one.records for one in changed)
        rows = [_row("raw files", f"{counted(records, 'record')} rewritten or removed", changed)]
        rows += [_row(one.url, f"left: {one.problem}", (one,)) for one in self.raw if one.problem]
        return rows

    def _version_rows(self) -> list[dict[str, object]]:
        if self.old_versions is None:
            return [_row("old versions in S3", "left: this command must not list them", ())]
        if not self.old_versions:
            return []
        what = "left: delete them, or let the bucket's lifecycle do it"
        return [_row("old versions in S3", what, self.old_versions)]

    def lines(self) -> list[str]:
        """Word what would be touched, and which days would change."""
        days = self.erased.erasure.days if self.erased.erasure and self.erased.entries else ()
        verb = "would get a pseudonym" if self.mode == "pseudonymise" else "would be deleted"
        rows = self.erased.rows
        count = rows.get(str(Note.PSEUDONYMISED), 0) + rows.get(str(Note.ERASED), 0)
        texts = rows.get(str(Note.ERASED_REJECTS), 0)
        return [
            f"{counted(count, 'clean row')} {verb}, and {counted(texts, 'text')} of rejects would "
            f"be emptied, of {counted(len(self.erased.entries), 'upload')}:",
            *(f"  {url}" for url in dict.fromkeys(one.url for one in self.erased.entries)),
            f"days that may change: {', '.join(days) or 'none'}",
            *self._raw_lines(),
        ]

    def _raw_lines(self) -> list[str]:
        """Word what would become of raw files."""
        if self.raw is None:
            return ["raw files: not looked at, since --raw names none"]
        changed = [one for one in self.raw if one.records]
        records = sum(one.records for one in changed)
        return [
            f"{counted(records, 'record')} of {counted(len(changed), 'raw file')} would be "
            "rewritten or removed:",
            *(f"  {one.url}: {one.records}" for one in changed),
            *(f"  {one.url} would be left: {one.problem}" for one in self.raw if one.problem),
        ]

    def fields(self) -> dict[str, object]:
        """Return the fields of the event."""
        erasure = self.erased.erasure
        return {
            "sequence": erasure and erasure.sequence,
            "erasure_id": erasure and erasure.erasure_id,
            "mode": self.mode,
            "files": len(self.erased.entries),
            "rows": self.erased.rows,
            "days": erasure.days if erasure and self.erased.entries else (),
            "deleted_objects": len(self.purged.objects),
            "temporary_files": self.purged.temporary,
            "raw_files": {one.url: one.records for one in self.raw or () if one.records},
            "raw_left": {one.url: one.problem for one in self.raw or () if one.problem},
            "raw_given": self.raw is not None,
            "old_versions": None
            if self.old_versions is None
            else [f"{one.url}?versionId={one.version_id}" for one in self.old_versions],
        }

    def _files(self, zone: str) -> list[str]:
        """Name the new objects of a zone."""
        keys = [key for entry in self.erased.entries for key in entry.keys]
        erasure = self.erased.erasure
        name = erasure.erasure_id[:8] if erasure else "-"
        return [key for key in keys if key.startswith(zone) and name in key]


def _row(place: str, what: str, files: object) -> dict[str, object]:
    return {"place": place, "what": what, "objects": len(list(files))}  # type: ignore[call-overload]
