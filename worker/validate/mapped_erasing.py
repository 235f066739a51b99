"""Keep erased customers out of what is validated by contracts of language 2."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa

from kpi.contract.model import Contract
from kpi.erasure.places import places_of
from kpi.erasure.rejects import erase_texts
from kpi.erasure.rows import Places, Subjects, erase_rows
from kpi.mapping.mapper import DatasetRows, MappedRows
from worker.state.erasures import Erasures
from worker.validate.erasing import counted, subjects_of


class MappedErasing:
    """Erases the customers of a ledger's erasures."""

    def __init__(self, erasures: Erasures, contract: Contract) -> None:
        self._contract = contract
        self._subjects = subjects_of(erasures)

    def rows(self, mapped: MappedRows) -> MappedRows:
        """Erase customers from what some rows of a file are."""
        return erase_mapped(mapped, self._subjects, self._contract)

    def rejects(self, table: pa.Table) -> tuple[pa.Table, Counter[str]]:
        """Erase customers from rejects, and return the notes of it."""
        texts, erased = erase_texts(table, self._subjects)
        return texts, counted(0, 0, erased)


def erase_mapped(mapped: MappedRows, subjects: Subjects, contract: Contract) -> MappedRows:
    """Erase customers from what some rows of a file are, by a contract of language 2."""
    datasets = {
        name: _erase_dataset(rows, places_of(name, rows.clean.schema.names, contract), subjects)
        for name, rows in mapped.datasets.items()
    }
    return replace(mapped, datasets=datasets)


def _erase_dataset(rows: DatasetRows, places: Places, subjects: Subjects) -> DatasetRows:
    erased = erase_rows(rows.clean, places, subjects)
    notes = counted(erased.pseudonymised, erased.deleted, 0)
    if not notes:
        return rows
    passed_over = rows.passed_over.copy()
    if erased.deleted:
        of_clean = np.flatnonzero(~rows.rejected & ~passed_over)
        passed_over[of_clean[subjects.marks(rows.clean, places).deleted]] = True
    return replace(
        rows, clean=erased.table, passed_over=passed_over, notes=Counter(rows.notes) + notes
    )
