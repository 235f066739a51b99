"""Uploads in chunks answer as one table does, and read no more chunks than they have to."""

from __future__ import annotations

import io
from itertools import chain
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.profiles import examples
from worker.errors import DamagedObject
from worker.index import upload_segments
from worker.index.upload_rows import FIELDS, checksum
from worker.index.upload_segments import StoredRows, store_rows
from worker.index.upload_table import Chunk, FileChunk, TableChunk, UploadTable

TEXTS = ["", "a", "b", "plumless", "buckeroo"]
"""The last two have one CRC-32."""


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Rows of uploads, of which some have bounds."""
    count = draw(st.integers(1, 6))
    parts = draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    text = st.lists(st.sampled_from(TEXTS), min_size=count, max_size=count)
    columns: dict[str, list[Any]] = {
        name: draw(text) for name in ("source_id", "url", "part_dataset", "moved_from")
    }
    content = draw(st.lists(st.sampled_from([*TEXTS, None]), min_size=count, max_size=count))
    columns |= {"content": content}
    names = ("source_id", "url", "content")
    columns |= {
        f"{name.removesuffix('_id')}_crc": [checksum(one) for one in columns[name]]
        for name in names
    }
    columns |= {
        "rows": draw(st.lists(st.integers(0, 9), min_size=count, max_size=count)),
        "part": [part if at else 0 for at, part in enumerate(parts)],
    }
    if draw(st.booleans()):
        low = st.one_of(st.none(), st.integers(0, 9))
        columns["id:low"] = draw(st.lists(low, min_size=count, max_size=count))
    arrays = [pa.array(columns.get(one.name, [None] * count), one.type) for one in FIELDS]
    found = pa.table(arrays, FIELDS)
    if "id:low" in columns:
        found = found.append_column("id:low", pa.array(columns["id:low"], pa.int64()))
    return found


@examples(0.5)
@given(st.lists(st.tuples(tables(), st.booleans()), min_size=1, max_size=3), st.data())
def test_chunks_answer_as_one_table(
    parts: list[tuple[pa.Table, bool]], data: st.DataObject
) -> None:
    chunks: list[Chunk] = []
    wanted, sequence = [], 0
    for table, is_stored in parts:
        # Parts of one upload share a sequence.
        steps = (table.column("part").to_numpy() == 0).cumsum() * 2
        at = FIELDS.get_field_index("sequence")
        whole = table.set_column(at, "sequence", pa.array(sequence + steps))
        sequence += int(steps[-1])
        wanted.append(whole)
        with patch.object(upload_segments, "GROUP_ROWS", 2):
            stored = store_rows(UploadTable([TableChunk(whole)]), 0) if is_stored else None
        chunks += stored.chunks("") if stored else [TableChunk(whole)]
    expected = pa.concat_tables(wanted, promote_options="default").combine_chunks()
    found = UploadTable(chunks)
    assert len(found) == len(expected)
    numbers = st.lists(st.integers(0, len(expected) - 1), max_size=5)
    rows = np.array(data.draw(numbers, label="rows"), np.int64)
    names = [name for name in found.column_names if name in expected.column_names]
    assert found.take(names, rows) == expected.select(names).take(pa.array(rows))
    for name in ("source_id", "url", "content"):
        texts = data.draw(st.lists(st.sampled_from([*TEXTS, "?"]), max_size=2), label=name)
        values = expected.column(name).to_pylist()
        assert found.rows_with(name, texts).tolist() == [
            row for row, value in enumerate(values) if value in texts
        ]
    sequences = expected.column("sequence").to_numpy()
    some = np.unique(np.array(data.draw(st.lists(st.integers(0, sequence + 1))), np.int64))
    assert found.rows_of(some).tolist() == np.flatnonzero(np.isin(sequences, some)).tolist()
    for one in some.tolist():
        assert found.first_after(one) == int(np.searchsorted(sequences, one, "right"))
    assert found.numbers("sequence").tolist() == sequences.tolist()
    assert found.rows_above("rows", 5).tolist() == [
        row for row, value in enumerate(expected.column("rows").to_pylist()) if value > 5
    ]
    moved = expected.column("moved_from").to_pylist()
    assert found.rows_with_text("moved_from").tolist() == [
        at for at, one in enumerate(moved) if one
    ]
    assert found.is_first.tolist() == [one == 0 for one in expected.column("part").to_pylist()]
    coded = found.codes("part_dataset")
    assert [coded.texts[code] for code in coded.codes] == expected.column(
        "part_dataset"
    ).to_pylist()
    start = data.draw(st.integers(0, len(expected)))
    parts_from = [columns[0].to_pylist() for _, columns in found.scan("url", start=start)]
    assert [*chain(*parts_from)] == expected.column("url").to_pylist()[start:]
    back = [column.to_pylist() for _, column in found.scan_back("url", start)]
    assert [*chain(*back[::-1])] == expected.column("url").to_pylist()[:start]


def _rows(count: int) -> pa.Table:
    """Rows of uploads, each with a source object, a dataset and a sequence of its own."""
    of_row: dict[str, list[Any]] = {
        "sequence": list(range(1, count + 1)),
        "source_id": [f"{one:016x}" for one in range(count)],
        "rows": [7] * (count - 1) + [70_000],
        "moved_from": [""] * count,
        "part": [0] * count,
    }
    of_row["source_crc"] = [checksum(f"{one:016x}") for one in range(count)]
    return pa.table(
        [pa.array(of_row.get(one.name, [None] * count), one.type) for one in FIELDS], FIELDS
    )


def test_a_look_up_reads_texts_of_one_row_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_segments, "GROUP_ROWS", 100)
    found = UploadTable(store_rows(UploadTable([TableChunk(_rows(1_000))]), 0).chunks(""))
    read: list[tuple[int, str]] = []
    column = FileChunk.column

    def noted(self: FileChunk, name: str) -> pa.Array:
        read.append((self._number, name))
        return column(self, name)

    monkeypatch.setattr(FileChunk, "column", noted)
    assert found.rows_with("source_id", [f"{250:016x}"]).tolist() == [250]
    assert [number for number, name in read if name == "source_id"] == [2]
    read.clear()
    assert found.rows_of(np.array([251, 252])).tolist() == [250, 251]
    assert found.rows_above("rows", 16_384).tolist() == [999]
    assert found.rows_with_text("moved_from").tolist() == []
    assert found.is_first.all()
    assert read == [(2, "sequence"), (9, "rows")]


@pytest.mark.parametrize("damage", ["missing", "type"])
def test_a_file_of_other_columns_is_damaged(damage: str) -> None:
    rows = _rows(3)
    if damage == "missing":
        rows = rows.drop_columns(["key"])
    else:
        rows = rows.set_column(0, "sequence", pa.array(["1", "2", "3"]))
    file = io.BytesIO()
    pq.write_table(rows, file)
    with pytest.raises(DamagedObject, match="columns of uploads"):
        StoredRows(file, file.tell(), 0, "").chunks("")
