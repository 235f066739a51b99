"""Every transform packs small files, has a key index, and writes a checkpoint: as after many."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from worker.transform import transform
from worker.transform.limits import TransformLimits


@pytest.fixture(autouse=True)
def many_uploads() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        limits = TransformLimits(unindexed_files=0, unpacked_files=1, tail_records=1)
        patch.setitem(transform.__kwdefaults__ or {}, "limits", limits)
        yield
