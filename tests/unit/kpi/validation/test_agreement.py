"""Columns are read the quick way or the careful way; both give the same verdicts."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.contract.model import Contract
from tests.support.profiles import examples
from tests.unit.kpi.columns import (
    contract_of,
    judge,
    judge_alone,
)
from tests.unit.kpi.verdicts import (
    BERLIN,
    BY_FORMAT,
    DECIMALS,
    INTEGERS,
    SAO_PAULO,
    TIMESTAMPS,
    UUIDS,
)

digits = st.text("0123456789", max_size=22)
number_like = st.one_of(
    st.builds("".join, st.tuples(st.sampled_from(["", "-", "+", " ", "-0"]), digits)),
    st.builds(
        "{}{}.{}{}{}".format,
        st.sampled_from(["", "-", "+", " "]),
        digits,
        st.text("0123456789", max_size=8),
        st.sampled_from(["", "0", "00", "000000000000"]),
        st.sampled_from(["", "", "", "e1", "E-2", "e+12", "e99", " ", "\t", "f"]),
    ),
    st.text("0123456789+-.eExX \t,_", max_size=12),
    st.sampled_from([*INTEGERS, *DECIMALS]),
)
moment_like = st.one_of(
    st.datetimes(min_value=datetime(1, 1, 1)).map(str),
    st.datetimes().map(lambda moment: moment.isoformat(timespec="seconds")),
    st.builds(
        "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}{}{}".format,
        st.integers(0, 9999),
        st.integers(0, 13),
        st.integers(0, 32),
        st.sampled_from(["T", " ", "  ", "t"]),
        st.integers(0, 25),
        st.integers(0, 61),
        st.integers(0, 62),
        st.sampled_from(["", ".", ".0", ".123456", ".1234567", ".123456789012"]),
        st.sampled_from(
            [
                "",
                "Z",
                "+01",
                "-0330",
                "+05:45",
                "+14:00",
                "+14:01",
                "-1200",
                "-13",
                "+24:00",
                "+0160",
            ]
        ),
    ),
    st.builds("{:04}-{:02}-{:02}".format, st.integers(0, 9999), st.just(2), st.integers(27, 31)),
    st.text("0123456789-:T Z+.", max_size=26),
    st.sampled_from([*TIMESTAMPS, *BY_FORMAT]),
)
uuid_like = st.one_of(
    st.uuids().map(str),
    st.uuids().map(lambda value: str(value).upper()),
    st.builds(
        lambda value, at, code: f"{value}"[:at] + code + f"{value}"[at + 1 :],
        st.uuids(),
        st.integers(0, 36),
        st.characters(max_codepoint=255),
    ),
    st.sampled_from(list(UUIDS)),
)
raw = st.one_of(
    number_like.map(str.encode),
    moment_like.map(str.encode),
    st.text(max_size=8).map(str.encode),
    st.binary(max_size=6),
)
COLUMNS = {
    'type = "integer"': number_like,
    'type = "integer", min = -5, max = 1000, required = true': number_like,
    'type = "decimal"': number_like,
    'type = "decimal", precision = 18, scale = 2, min = 0': number_like,
    'type = "decimal", precision = 4, scale = 0': number_like,
    'type = "decimal", precision = 3, scale = 3': number_like,
    'type = "decimal", precision = 18, scale = 9': number_like,
    'type = "timestamp"': moment_like,
    'type = "timestamp", required = true': moment_like,
    'type = "timestamp", formats = ["%Y-%m-%d %H:%M:%S"]': moment_like,
    'type = "timestamp", formats = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]': moment_like,
    'type = "uuid"': uuid_like,
    'type = "uuid", required = true': uuid_like,
    'type = "string", max_bytes = 6': raw,
    'type = "string", allowed = ["a", "7"], required = true': raw,
}
CONTRACTS: dict[tuple[str, str], Contract] = {
    (column, zone): contract_of(column, zone)
    for column in COLUMNS
    for zone in ("", BERLIN, SAO_PAULO)
    if not zone or "timestamp" in column
}


@st.composite
def columns_of_texts(draw: st.DrawFn) -> tuple[Contract, list[bytes]]:
    column, zone = draw(st.sampled_from(sorted(CONTRACTS)))
    fitting = COLUMNS[column]
    text = st.one_of(fitting if fitting is raw else fitting.map(str.encode), raw)
    texts = draw(st.lists(text, min_size=1, max_size=12))
    return CONTRACTS[column, zone], texts


@pytest.mark.slow
@given(columns_of_texts())
@examples(4)
def test_the_quick_and_the_careful_way_give_the_same_verdicts(
    case: tuple[Contract, list[bytes]],
) -> None:
    contract, texts = case
    as_it_comes = judge(texts, contract)
    assert judge(texts, contract, careful=True) == as_it_comes
    assert [judge_alone(text, contract) for text in texts] == as_it_comes
