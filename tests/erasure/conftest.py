"""Every transform here packs small files and has a key index, as after many uploads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from worker.transform import transform
from worker.transform.limits import TransformLimits


@pytest.fixture(autouse=True)
def many_uploads() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        limits = TransformLimits(unindexed_files=0, unpacked_files=1)
        patch.setitem(transform.__kwdefaults__ or {}, "limits", limits)
        yield
