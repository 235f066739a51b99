"""The clean zone at a ledger sequence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.worker.transform.histories import history
from worker.state import paging
from worker.transform.snapshot import open_snapshot


@pytest.mark.slow
async def test_pages_of_the_ledger_give_one_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with history(tmp_path) as (pipeline, _):
        assert pipeline.state is not None
        head = await pipeline.state.head()
        found = []
        for at_once in (head + 1, head, 4, 1):
            monkeypatch.setattr(paging, "PAGE_ENTRIES", at_once)
            opened = await open_snapshot(
                pipeline.state, head - 2, pipeline.workspace, pipeline.contract
            )
            found.append(
                [
                    (file.rank, file.source_id, file.url, file.key, file.rows)
                    for one in opened.catalogs
                    for file in one.files
                ]
            )
            assert opened.sources_since(head - 4) == {
                entry.source_id
                for entry in await pipeline.state.entries(after=head - 4, up_to=head - 2)
            }
        assert len(found[0]) == head - 2
        assert all(one == found[0] for one in found)
