"""Files in a built-in layout: an inferred contract names it, and what it leaves out."""

from __future__ import annotations

import csv
from pathlib import Path

from kpi.inference.samples import TableSample
from worker.infer.task import name_built_in_layouts

FILES = Path(__file__).parents[3] / "layouts" / "samples" / "shopify" / "files"


def sample(path: Path) -> TableSample:
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    columns = tuple(zip(*rows, strict=True))
    return TableSample(name=path.name, match=path.name, headers=tuple(header), columns=columns)


def test_a_file_in_a_built_in_layout_is_named() -> None:
    (line,) = name_built_in_layouts([sample(one) for one in sorted(FILES.iterdir())])
    assert "Shopify" in line
    assert "--contract shopify" in line
    assert "it leaves out orders with status = voided" in line


def test_other_files_are_in_no_built_in_layout() -> None:
    other = TableSample(name="a.csv", match="a.csv", headers=("Order",), columns=(("1",),))
    assert not list(name_built_in_layouts([other]))
