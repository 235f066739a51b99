"""Moving raw files away never takes one that nobody has read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shops import Pipeline
from worker.archive import archive
from worker.errors import SourceChanged
from worker.objects import ObjectInfo
from worker.objects.folder import FolderStore
from worker.urls import locate

ORDERS = "order_id,user_id,status,created_at\n1,7,delivered,2025-03-01T10:00:00\n"


class Overwriting(FolderStore):
    """The shop uploads the file again as soon as it was read for the copy."""

    def __init__(self, path: Path, content: str) -> None:
        self._path = path
        self._content = content

    async def read(self, info: ObjectInfo, start: int, end: int) -> bytes:
        data = await super().read(info, start, end)
        self._path.write_text(self._content)
        return data


async def test_an_upload_that_comes_during_the_move_stays(tmp_path: Path) -> None:
    path = tmp_path / "orders" / "1.csv"
    path.parent.mkdir()
    path.write_text(ORDERS)
    newer = ORDERS + "2,8,delivered,2025-03-02T10:00:00\n"
    async with Pipeline(tmp_path / "work") as pipeline:
        assert pipeline.state is not None
        await pipeline.validate(path)
        with pytest.raises(SourceChanged):
            await archive(
                Overwriting(path, newer),
                locate(str(path)),
                ledger=pipeline.state,
                store=FolderStore(),
                to=locate(str(tmp_path / "old")),
            )
    assert path.read_text() == newer
