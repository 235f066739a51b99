"""The floor: reading the bytes and parsing them with `pyarrow.csv` alone, in two threads.

No row is checked, nothing is written and no KPI is computed; what an engine takes beyond this is
what its other work costs. `python -m benchmarks.floor SOURCE IDS`.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc

from benchmarks.peers.layout import LAYOUT, Ids, kind_of_ids

THREADS = 2
BLOCK_BYTES = 8 * 2**20
IN_FLIGHT = 4

TYPES = {
    "integer": pa.int64(),
    "text": pa.string(),
    "timestamp": pa.timestamp("us"),
    "money": pa.decimal128(15, 2),
}
ID_TYPES: dict[Ids, pa.DataType] = {"integer": pa.int64(), "uuid": pa.binary(36)}


def lines(path: Path) -> Iterator[bytes]:
    """Yield the file after its header in chunks of whole lines (no field has a newline)."""
    with path.open("rb", buffering=0) as file:
        rest = b""
        header = True
        while block := file.read(BLOCK_BYTES):
            data = rest + block
            start = data.index(b"\n") + 1 if header else 0
            end = data.rindex(b"\n") + 1
            header, rest = False, data[end:]
            yield data[start:end]
        if rest:
            yield rest


def parse(data: bytes, dataset: str, ids: Ids) -> int:
    """Rows in a chunk."""
    type_of = {**TYPES, "id": ID_TYPES[ids]}
    types = {name: type_of[kind] for name, kind in LAYOUT[dataset].items()}
    table = pc.read_csv(
        pa.py_buffer(data),
        read_options=pc.ReadOptions(
            column_names=list(types), use_threads=False, block_size=len(data)
        ),
        convert_options=pc.ConvertOptions(column_types=types, strings_can_be_null=True),
    )
    rows: int = table.num_rows
    return rows


def main() -> None:
    """Print the rows of each dataset."""
    source, ids = Path(sys.argv[1]), kind_of_ids(sys.argv[2])
    with ThreadPoolExecutor(THREADS) as threads:
        for dataset in LAYOUT:
            rows = 0
            running: deque[Future[int]] = deque()
            for path in sorted((source / dataset).glob("*.csv")):
                for chunk in lines(path):
                    running.append(threads.submit(parse, chunk, dataset, ids))
                    if len(running) == IN_FLIGHT:
                        rows += running.popleft().result()
            rows += sum(one.result() for one in running)
            print(dataset, rows)


if __name__ == "__main__":
    main()
