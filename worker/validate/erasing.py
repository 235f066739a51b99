"""Keep erased customers out of what is validated."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from kpi.contract.receipt_notes import Note
from kpi.csv.chunk import Chunk
from kpi.csv.header import Layout
from kpi.erasure.places import places_of
from kpi.erasure.rejects import erase_texts
from kpi.erasure.rows import Subjects, build_subjects, erase_rows
from kpi.validation.rejects import ParsedChunk
from worker.state.erasures import Erasures
from worker.validate.parse_pool import Parser


def subjects_of(erasures: Erasures) -> Subjects:
    """Return whom the erasures of a ledger are about."""
    return build_subjects(erasures.key, erasures.customers, erasures.orders)


class ErasingParser:
    """Parses chunks, and erases customers from the results."""

    def __init__(self, parser: Parser, layout: Layout, subjects: Subjects) -> None:
        self._parser = parser
        self._subjects = subjects
        self._delimiter = layout.contract.delimiter
        self._key = layout.dataset.key[0]
        self._places = places_of(layout.dataset.name, layout.schema.names, layout.contract)

    def parse(self, chunk: Chunk, /) -> ParsedChunk:
        """Parse a chunk."""
        parsed = self._parser.parse(chunk)
        rows = erase_rows(parsed.clean, self._places, self._subjects)
        rejects, erased = erase_texts(parsed.rejects, self._subjects, self._delimiter)
        notes = counted(rows.pseudonymised, rows.deleted, erased)
        if not notes:
            return parsed
        return replace(
            parsed,
            clean=rows.table,
            rejects=rejects,
            notes=parsed.notes + notes,
            is_key_increasing=parsed.is_key_increasing and self._key not in self._places.customers,
        )


def counted(pseudonymised: int, deleted: int, rejects: int) -> Counter[str]:
    """Return the notes of rows that were erased, without those of none."""
    notes = {
        Note.PSEUDONYMISED: pseudonymised,
        Note.ERASED: deleted,
        Note.ERASED_REJECTS: rejects,
    }
    return Counter({str(note): rows for note, rows in notes.items() if rows})
