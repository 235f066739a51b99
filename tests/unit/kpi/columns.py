"""Contracts with one column under test, and what becomes of texts in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from kpi.contract.loading import parse_contract
from kpi.contract.model import Contract
from kpi.csv.chunk import Chunk
from kpi.csv.header import Layout, read_layout
from kpi.csv.splitter import RecordSplitter
from kpi.validation.parser import ChunkParser
from kpi.validation.rejects import ParsedChunk

CONTRACT = """
{settings}
[orders]
key = ["order_id"]
[orders.columns]
order_id = {{ type = "integer", required = true }}
user_id = {{ type = "integer", required = true }}
created_at = {{ type = "timestamp", required = true }}
[order_items]
key = ["id"]
[order_items.columns]
id = {{ type = "integer", required = true }}
order_id = {{ type = "integer", required = true }}
product_id = {{ type = "integer", required = true }}
sale_price = {{ type = "decimal", required = true }}
[products]
key = ["id"]
[products.columns]
id = {{ type = "integer", required = true }}
v = {{ {column} }}
"""


class Verdict(NamedTuple):
    """What became of a text: its value where the row is clean, else the reasons."""

    value: object
    reasons: tuple[str, ...] = ()


def contract_of(column: str, settings: str = "") -> Contract:
    """A contract whose products have `id` and a column `v`, given as a TOML inline table.

    A bad `v` rejects its row, as in a column that a KPI reads.
    """
    return with_rejecting_columns(
        parse_contract(CONTRACT.format(column=column, settings=settings), source="test")
    )


def with_rejecting_columns(contract: Contract) -> Contract:
    """The contract, in which a bad value rejects its row in whatever column it is."""
    datasets = {
        name: replace(
            dataset,
            columns={column: replace(one, rejects=True) for column, one in dataset.columns.items()},
        )
        for name, dataset in contract.datasets.items()
    }
    return replace(contract, datasets=datasets)


def layout_of(contract: Contract, header: bytes = b"id,v", dataset: str = "products") -> Layout:
    layout = read_layout(header, contract, contract.datasets[dataset])
    assert isinstance(layout, Layout)
    return layout


def parser_of(contract: Contract, *, careful: bool = False) -> ChunkParser:
    """A parser of products; `careful` as if `v` had had a bad value before."""
    return ChunkParser(layout_of(contract), raw_columns=["v"] if careful else ())


BEFORE = b'"\r\n\xe9,7'
"""What a chunk is no part of: bytes of the block before, at the beginning of its own."""


def chunk_of(data: bytes, contract: Contract) -> Chunk:
    splitter = RecordSplitter(
        delimiter=contract.delimiter, max_record_bytes=contract.max_record_bytes
    )
    (chunk,) = splitter.split(BEFORE + data, overlap=len(BEFORE), last=True)
    return chunk


def chunks_of(
    data: bytes, cuts: Sequence[int], overlap: int, *, max_record_bytes: int
) -> list[Chunk]:
    """Split a stream whose blocks each repeat the last `overlap` bytes of the one before."""
    splitter = RecordSplitter(max_record_bytes=max_record_bytes)
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    chunks: list[Chunk] = []
    for start, end in pairwise(edges):
        block = data[max(start - overlap, 0) : end]
        chunks += splitter.split(block, overlap=min(overlap, start))
    return [*chunks, *splitter.split(b"", last=True)]


def field(text: bytes, *, quoted: bool = False) -> bytes:
    """A CSV field; quoted where it must be, or where `quoted` says so."""
    if quoted or any(code in text for code in (b",", b'"', b"\n", b"\r")):
        return b'"' + text.replace(b'"', b'""') + b'"'
    return text


def rows_of(texts: Sequence[bytes]) -> bytes:
    return b"".join(b"%d,%b\n" % (number, field(text)) for number, text in enumerate(texts))


def verdicts(parsed: ParsedChunk, count: int) -> list[Verdict]:
    """Verdicts of rows `0,...`, `1,...` and so on, each of which must be there once."""
    found: dict[int, Verdict] = {}
    for row in parsed.clean.select(["id", "v"]).to_pylist():
        assert row["id"] not in found
        found[row["id"]] = Verdict(row["v"])
    for row in parsed.rejects.to_pylist():
        number = int(row["raw"].split(b",")[0])
        assert number not in found
        found[number] = Verdict(None, tuple(one["reason"] for one in row["reasons"]))
    assert sorted(found) == list(range(count))
    return [found[number] for number in range(count)]


def judge(texts: Sequence[bytes], contract: Contract, *, careful: bool = False) -> list[Verdict]:
    """Judge texts in one column of one chunk."""
    parsed = parser_of(contract, careful=careful).parse(chunk_of(rows_of(texts), contract))
    return verdicts(parsed, len(texts))


def judge_alone(text: bytes, contract: Contract, *, careful: bool = False) -> Verdict:
    return judge([text], contract, careful=careful)[0]
