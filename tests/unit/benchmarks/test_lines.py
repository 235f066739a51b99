"""The benchmark's file of lines is the same shop in every format."""

from __future__ import annotations

from pathlib import Path

from benchmarks.lines import FORMS, contract_file, lines_file
from tests.language.files import File
from tests.language.product import run


def test_every_form_is_the_same_shop(tmp_path: Path) -> None:
    found = []
    for form in FORMS:
        data = lines_file(tmp_path, form, 20).read_bytes()
        file = File(f"lines.{form.ending}", data.decode("latin-1"), 0)
        contract = contract_file(tmp_path, form).read_text()
        outcome = run(tmp_path / form.name, contract, [file], encoding="latin-1")
        (entry,) = outcome.entries.values()
        assert (entry.verdict, entry.rows_rejected) == ("accepted", 0), (form.name, entry.reason)
        found.append([{**row, "as_of": None} for row in outcome.orders.values()])
    assert all(one == found[0] for one in found)
    assert sum(row["total_orders"] for row in found[0]) == 20
