"""Random contracts and files: the product publishes what the recount counts."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.language.files import File
from tests.language.product import check
from tests.language.shops import RandomShop, shops
from tests.language.wide_shops import WideShop, wide_shops
from tests.support.profiles import examples
from worker.transform.limits import DEFAULT_LIMITS, TransformLimits
from worker.validate.stream import BlockSizes

SMALL = TransformLimits(
    shop_batch_orders=1,
    shop_scattered_batch_orders=1,
    held_reference_rows=0,
    read_rows=1,
    single_pass_rows=2,
    pass_hashes=2,
    lookup_rows=1,
    lookup_points=1,
)
"""Of every size that is bounded, the least."""

INDEXED = TransformLimits(unindexed_files=0, stride_pointers=3, tail_records=1)
"""Keys are looked up in the index from the second transform on."""

SUMMED = TransformLimits(summed_orders=1, summed_at_once=1)
"""Every day has sums, which each transform brings up to date by difference."""

LIMITS = (DEFAULT_LIMITS, SMALL, INDEXED, SUMMED)


@given(shops(), st.booleans(), st.integers(20, 4000), st.sampled_from(LIMITS))
@examples(0.5)
def test_any_shop_is_what_the_recount_counts(
    shop: RandomShop, one_by_one: bool, block_bytes: int, limits: TransformLimits
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
            limits=limits,
        )


@given(wide_shops(), st.booleans(), st.integers(20, 4000), st.sampled_from(LIMITS))
@examples(0.6)
def test_every_word_means_what_the_recount_counts(
    shop: WideShop, one_by_one: bool, block_bytes: int, limits: TransformLimits
) -> None:
    """Dialects, JSON, chained look-ups, refunds as rows, rates of the day, kinds of key."""
    with tempfile.TemporaryDirectory() as home:
        check(
            Path(home),
            shop.contract,
            shop.files,
            one_by_one=one_by_one,
            block_sizes=BlockSizes(block_bytes=block_bytes, overlap_bytes=0),
            limits=limits,
            encoding=shop.encoding,
        )


@given(shops(), st.randoms(use_true_random=False))
@examples(0.5)
def test_the_order_of_commits_changes_nothing(shop: RandomShop, random: object) -> None:
    """Files of different names may be validated in any order."""
    last = {file.name: file for file in sorted(shop.files, key=lambda file: file.second)}
    files = list(last.values())
    random.shuffle(files)  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as home:
        check(Path(home), shop.contract, [File(*vars(file).values()) for file in files])
