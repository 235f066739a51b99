"""Which data files are written again: every changed row is in one, and no row in two."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.support.profiles import examples
from worker.iceberg.spans import Place, Rewrite, Span, Stretch, plan_rewrites


def span(start: int, end: int) -> Span:
    return Span(Place(start, 0), Place(end, 0))


def stretch(at: int, rows: int = 10) -> Stretch:
    return Stretch(span(at, at + 1), rows)


def test_a_name_says_the_span() -> None:
    of_rows = Span(Place(3, 100), Place(12, 7))
    name = of_rows.name(40, "0123456789abcdef")
    assert name == (
        "000000000003-000000000000100-000000000012-000000000000007-as-of-40-01234567.parquet"
    )
    assert Span.parse(f"s3://bucket/x/data/{name}") == of_rows
    assert Span.parse("s3://bucket/x/data/00000-0-a.parquet") is None


def test_small_files_at_the_end_join_what_follows() -> None:
    existing = {span(1, 5): 500, span(5, 6): 20, span(6, 7): 10}
    plan = plan_rewrites(existing, [stretch(7)], 1000)
    assert plan == [Rewrite(span(5, 8), (span(5, 6), span(6, 7)))]
    assert plan_rewrites(existing, [stretch(7)], 25) == [Rewrite(span(6, 8), (span(6, 7),))]
    assert plan_rewrites(existing, [stretch(7, 5)], 1000) == [Rewrite(span(7, 8))]


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[Span, int], list[Stretch], int]:
    edges = sorted(draw(st.sets(st.integers(0, 20), max_size=8)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    existing = {span(start, end): draw(st.integers(1, 40)) for start, end in pairs}
    places = draw(st.sets(st.integers(0, 24)))
    return existing, [stretch(at) for at in places], draw(st.sampled_from((1, 25, 1000)))


@given(cases())
@examples(2)
def test_every_changed_row_is_written_once(
    case: tuple[dict[Span, int], list[Stretch], int],
) -> None:
    existing, changed, max_rows = case
    plan = plan_rewrites(existing, changed, max_rows)
    for one in changed:
        assert sum(one.span.start in rewrite.span for rewrite in plan) == 1
    gone = [old for rewrite in plan for old in rewrite.replaced]
    assert len(set(gone)) == len(gone)
    for rewrite in plan:
        assert all(old.start in rewrite.span for old in rewrite.replaced)
    # The data files that there are then are apart from each other.
    after = sorted([*(one for one in existing if one not in gone), *(one.span for one in plan)])
    assert all(one.end <= other.start for one, other in pairwise(after))
