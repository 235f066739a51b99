"""Golden cases: a folder of small files each, and what the pipeline makes of them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from kpi.contract.loading import built_in, parse_contract
from kpi.contract.model import Contract
from tests.support.shops import Pipeline
from worker.state import Entry

CASES = Path(__file__).parent / "cases"
EXPECTED = "expected.json"
FIRST_UPLOAD = datetime(2025, 6, 1, tzinfo=UTC)

Outcome = dict[str, list[dict[str, Any]]]


def names() -> list[str]:
    return sorted(path.name for path in CASES.iterdir() if path.is_dir())


def contract_of(case: str) -> Contract:
    """The case's own contract, or the built-in one."""
    path = CASES / case / "contract.toml"
    return parse_contract(path.read_text("utf-8"), source=case) if path.exists() else built_in()


def uploads(case: str) -> list[Path]:
    """The case's files in the order of their upload: by their number, then by dataset."""
    files = (CASES / case).glob("*/*.csv")
    rank = {"products": 0, "orders": 1, "order_items": 2}
    return sorted(files, key=lambda path: (number_of(path), rank[path.parent.name], path.name))


def number_of(path: Path) -> int:
    return int(path.stem.split("_")[0])


def run(case: str) -> Outcome:
    """Receipts, rejects, rescued columns and KPI rows of a case."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_run(case, Path(folder)))


async def _run(case: str, home: Path) -> Outcome:
    async with Pipeline(home / "work", contract_of(case)) as pipeline:
        assert pipeline.state is not None
        for source in uploads(case):
            path = home / "in" / source.parent.name / source.name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, path)
            uploaded = int(FIRST_UPLOAD.timestamp()) + number_of(source)
            os.utime(path, (uploaded, uploaded))
            await pipeline.validate(path)
        await pipeline.transform()
        entries = await pipeline.state.entries()
        effects = await pipeline.state.effects([entry.source_id for entry in entries])
        outcome: Outcome = {"receipts": [], "rejects": [], "rescued": []}
        for entry in entries:
            effect = effects.get(entry.source_id)
            outcome["receipts"].append(
                {
                    "file": _name(entry),
                    "verdict": entry.verdict,
                    **({"reason": entry.reason} if entry.reason else {}),
                    "rows_read": entry.rows_read,
                    "rows_clean": entry.rows_clean,
                    "rows_rejected": entry.rows_rejected,
                    "reasons": entry.reasons,
                    "size_bytes": entry.size_bytes,
                    "superseded_rows": effect.superseded_rows if effect else None,
                    "waiting_items": effect.waiting_items if effect else None,
                    "days": effect.days if effect else None,
                }
            )
            outcome["rejects"] += _rejects(entry, home / "work")
            outcome["rescued"] += _rescued(entry, home / "work")
        rows: Mapping[str, list[dict[str, Any]]] = await pipeline.all_rows()
    for table in ("order_kpis", "category_kpis", "product_kpis"):
        outcome[table] = [{key: _plain(value) for key, value in row.items()} for row in rows[table]]
    return outcome


def _rejects(entry: Entry, workspace: Path) -> list[dict[str, Any]]:
    return [
        {
            "file": _name(entry),
            "row": row["row"],
            "byte_offset": row["byte_offset"],
            "reasons": [
                f"{one['reason']} {one['column'] or '-'}: expected {one['expected']}"
                for one in row["reasons"]
            ],
            "raw": _short(row["raw"].decode("utf-8", "backslashreplace")),
        }
        for key in entry.rejects
        for row in pq.read_table(workspace / key, partitioning=None).to_pylist()
    ]


def _rescued(entry: Entry, workspace: Path) -> list[dict[str, Any]]:
    found = []
    for part in entry.parts:
        table = pq.read_table(workspace / part.key, partitioning=None)
        if "_rescued" in table.schema.names:
            columns = table.column("_rescued").to_pylist()
            found += [{"file": _name(entry), "columns": dict(one)} for one in columns]
    return found


def _name(entry: Entry) -> str:
    return "/".join(entry.url.rsplit("/", 2)[1:])


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"


def _plain(value: object) -> object:
    return value if isinstance(value, int | str) else str(value)


def to_text(outcome: Outcome) -> str:
    """JSON with a line for each row."""
    parts = []
    for name, rows in outcome.items():
        lines = ",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in rows)
        parts.append(f'  "{name}": [\n{lines}\n  ]' if rows else f'  "{name}": []')
    return "{\n" + ",\n".join(parts) + "\n}\n"
