"""DuckDB's own reader of Iceberg gives the published KPIs: `make interop`.

    python -m tests.interop.duckdb_reads WORKSPACE

Reads the tables of a workspace that `maintain --iceberg sqlite` has written, without a catalog. It
needs a DuckDB whose extensions `iceberg` and `avro` are packages: `requirements-interop.lock`.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import duckdb

from tests.interop.published import TABLES, count_different


def load_extensions(db: duckdb.DuckDBPyConnection) -> None:
    """Load the extensions from their packages."""
    for name in ("avro", "iceberg"):
        found = find_spec(f"duckdb_extension_{name}")
        assert found is not None, f"duckdb-extension-{name} is not installed"
        assert found.origin is not None
        (path,) = Path(found.origin).parent.rglob("*.duckdb_extension")
        db.execute(f"LOAD '{path}'")


def main(workspace: Path) -> int:
    db = duckdb.connect()
    load_extensions(db)
    for table in TABLES:
        place = workspace.absolute() / "iceberg" / table
        db.execute(f"CREATE VIEW {table} AS SELECT * FROM iceberg_scan('{place}')")
    different = count_different(workspace, lambda sql: db.execute(sql).fetchall())
    sys.stdout.write(f"DuckDB {duckdb.__version__}\n")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
