"""Every transform has packs, a key index, a checkpoint and sums, as after many large uploads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from worker.transform import transform
from worker.transform.limits import TransformLimits


@pytest.fixture(autouse=True)
def many_uploads() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        limits = TransformLimits(
            unindexed_files=0,
            unpacked_files=1,
            tail_records=1,
            summed_orders=1,
            summed_at_once=1,
        )
        patch.setitem(transform.__kwdefaults__ or {}, "limits", limits)
        yield
