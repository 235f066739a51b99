"""Random contracts and files: the product publishes what the reference says."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.language.product import check
from tests.language.reference import File
from tests.language.shops import RandomShop, shops
from worker.validate.stream import BlockSizes


@given(shops(), st.booleans(), st.integers(20, 4000))
@settings(suppress_health_check=list(HealthCheck))
def test_any_shop_is_what_the_reference_says(
    shop: RandomShop, one_by_one: bool, block_bytes: int
) -> None:
    """Files are validated in the order of their uploads; later versions of a name replace it."""
    files = sorted(shop.files, key=lambda file: file.second)
    with tempfile.TemporaryDirectory() as home:
        check(
            Path(home),
            shop.contract,
            files,
            one_by_one=one_by_one,
            block_sizes=BlockSizes(block_bytes=block_bytes, overlap_bytes=0),
        )


@given(shops(), st.randoms(use_true_random=False))
@settings(suppress_health_check=list(HealthCheck))
def test_the_order_of_commits_changes_nothing(shop: RandomShop, random: object) -> None:
    """Files of different names may be validated in any order."""
    last = {file.name: file for file in sorted(shop.files, key=lambda file: file.second)}
    files = list(last.values())
    random.shuffle(files)  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as home:
        check(Path(home), shop.contract, [File(*vars(file).values()) for file in files])
