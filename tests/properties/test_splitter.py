"""Records of a few bytes, limits of a few bytes: every edge of the splitter, very often."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from kpi.csv.splitter import RecordSplitter
from tests.support.profiles import examples
from tests.unit.kpi.csv.test_splitter import records_of, reference

PIECES = st.one_of(
    st.sampled_from([b'"', b",", b"\n", b"a"]),
    st.sampled_from([b'"', b",", b"\r", b"\n", b"a"]),
    st.sampled_from([b'""', b'"', b'a",', b'"b\n', b"\r\n", b',"']),
    st.sampled_from([b'a","b\n', b'"', b"\n", b"x,y\n", b'"x"y\n']),
)


@given(
    st.lists(PIECES, max_size=40).map(b"".join),
    st.lists(st.integers(1, 20), min_size=1, max_size=8),
    st.sampled_from([2, 3, 6, 10, 20, 64]),
)
@examples(15)
@example(b'a",\r\n', [4, 1], 3)  # a carriage return at the end of a block is no part of a record
@example(b'"",""b\na"\r\n"\r\n', [3], 3)
@example(b'"x\ny","z\n",a"\nb"\n', [100], 6)
@example(b'"\n"\n",x\ny",z\n', [100], 3)
@example(b'"a\n"b\n","\n"\n', [100], 4)
def test_any_limit_and_any_cut_give_the_records_of_the_grammar(
    data: bytes, cuts: list[int], limit: int
) -> None:
    splitter = RecordSplitter(max_record_bytes=limit)
    found, at, turn = [], 0, 0
    while at < len(data):
        size = cuts[turn % len(cuts)]
        chunk = splitter.push(data[at : at + size])
        found += records_of(chunk) if chunk else []
        at, turn = at + size, turn + 1
    last = splitter.push(b"", last=True)
    found += records_of(last) if last else []
    assert sorted(found) == reference(data, limit)
