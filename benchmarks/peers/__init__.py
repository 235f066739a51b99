"""The engines that people would use instead, each as a script that does the same job.

`python -m benchmarks.peers.NAME SOURCE OUT IDS` reads the CSV files of a folder, types every
column, writes clean Parquet (zstd) of all three datasets and then both KPI tables as Parquet. It
does not set bad rows aside, keep a ledger, look for later versions of a key, or publish to a store:
each of that is on top here.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.peers.layout import Ids


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One engine.

    Attributes:
        name: As in `--peers`.
        title: For people.
        package: The distribution whose version is reported.
        exact: Whether its sums of money are decimals: they must then equal ours to the cent.
        goal: Our wall time as a fraction of its, at most (of the issue's table).
        program: A program beside Python that it needs.
    """

    name: str
    title: str
    package: str
    exact: bool
    goal: float
    program: str | None = None

    def command(self, source: Path, out: Path, ids: Ids) -> list[str]:
        """How it does the job."""
        module = f"benchmarks.peers.{self.name}"
        return [sys.executable, "-m", module, str(source), str(out), ids]

    def missing(self) -> str | None:
        """Name what this machine lacks to run it."""
        if importlib.util.find_spec(self.package) is None:
            return f"the package {self.package}"
        if self.program and shutil.which(self.program) is None:
            return f"the program {self.program}"
        return None

    @property
    def version(self) -> str:
        return version(self.package)


PEERS = {
    peer.name: peer
    for peer in (
        Peer(name="duckdb", title="DuckDB", package="duckdb", exact=True, goal=0.60),
        Peer(name="polars", title="Polars streaming", package="polars", exact=True, goal=0.75),
        Peer(
            name="spark",
            title="Spark local[2]",
            package="pyspark",
            exact=True,
            goal=0.10,
            program="java",
        ),
        Peer(name="pandas", title="pandas in chunks", package="pandas", exact=False, goal=0.25),
    )
}
