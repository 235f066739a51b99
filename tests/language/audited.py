"""A shop of language 2 that is published, and audited with and without the recount."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from kpi.contract.loading import parse_contract
from tests.language.files import FIRST_SECOND
from tests.support.shops import ALL_TABLES, Pipeline
from worker.maintenance.audit import Audit, audit
from worker.objects import ObjectStore
from worker.objects.local import FolderStore
from worker.objects.location import Location


async def open_folder(_: Location) -> ObjectStore:
    return FolderStore()


async def publish_and_audit(
    home: Path,
    contract: str,
    files: Sequence[tuple[str, bytes]],
    *,
    day: str | None = None,
    tamper: Callable[[Path], object] = lambda _: None,
) -> tuple[Audit, Audit]:
    """Publish files, and audit them by the engine alone, and with the recount.

    Args:
        home: Folder of the workspace, and of the files.
        contract: TOML.
        files: Names and bytes, from the first upload to the last.
        day: Day to audit; None for all.
        tamper: Changes the folder of the files before the audit.
    """
    folder, parsed = home / "shop", parse_contract(contract, source="test")
    async with Pipeline(home / "work", parsed) as pipeline:
        for second, (name, data) in enumerate(files):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            os.utime(path, (FIRST_SECOND + second,) * 2)
            entry = await pipeline.validate(path)
            assert entry.verdict == "accepted", entry.reason
        await pipeline.transform()
        tamper(folder)
        assert pipeline.state is not None
        only = None if day is None else date.fromisoformat(day)
        blind, found = [
            await audit(
                contract=parsed,
                workspace=pipeline.workspace,
                state=pipeline.state,
                tables=ALL_TABLES,
                first=only,
                last=only,
                recount_days=days,
                open_objects=open_folder,
            )
            for days in (0, 1000)
        ]
        return blind, found
