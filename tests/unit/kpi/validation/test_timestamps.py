"""Timestamps: the grammar, formats, zones, and dates alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.contract.loading import built_in, parse_contract
from kpi.contract.model import Contract
from kpi.validation.parser import ChunkParser
from kpi.validation.timestamps import NAIVE, to_instants
from tests.unit.kpi.columns import (
    Verdict,
    chunk_of,
    contract_of,
    judge_alone,
    layout_of,
    parser_of,
)
from tests.unit.kpi.verdicts import RANGE, WRONG, utc


def contract_in(zone: str) -> Contract:
    text = built_in().text.replace('source_time_zone = "UTC"', f'source_time_zone = "{zone}"')
    return parse_contract(text, source="test")


@pytest.mark.parametrize(
    ("zone", "local", "instant"),
    [
        ("Europe/Berlin", "2025-07-01T00:30:00", "2025-06-30T22:30:00"),
        ("Europe/Berlin", "2038-07-01T00:30:00", "2038-06-30T22:30:00"),
        ("America/Santiago", "2040-01-01T00:00:00", "2040-01-01T03:00:00"),
        ("UTC", "2040-01-01T00:00:00", "2040-01-01T00:00:00"),
    ],
)
@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_local_times_become_instants(zone: str, local: str, instant: str, chunks: int) -> None:
    values = pa.array([None, datetime.fromisoformat(local)], NAIVE)
    column = values if chunks == 0 else pa.chunked_array([values] * chunks)
    found = to_instants(column, contract_in(zone))
    expected = [None, datetime.fromisoformat(f"{instant}Z")]
    assert found.to_pylist() == expected * max(chunks, 1)
    found.validate(full=True)


def verdict(text: str, formats: str = "", settings: str = "", *, careful: bool = False) -> Verdict:
    column = f'type = "timestamp"{formats and f", formats = {formats}"}'
    return judge_alone(text.encode(), contract_of(column, settings), careful=careful)


OFFSETS = st.sampled_from(["", "Z", "z", " Z", "UTC", " UTC", " GMT", "GMT"]) | st.builds(
    "{}{}{:02}{}".format,
    st.sampled_from(["", " "]),
    st.sampled_from("+-"),
    st.integers(0, 23),
    st.sampled_from(["", ":00", "00", ":59", "30"]),
)


def offset_of(text: str) -> timedelta:
    """Read an offset one character at a time."""
    digits = text.strip().replace(":", "")
    if digits[:1] not in ("+", "-"):
        return timedelta()
    size = timedelta(hours=int(digits[1:3]), minutes=int(digits[3:] or "0"))
    return size if digits[0] == "+" else -size


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1)),
    st.booleans(),
    st.sampled_from("Tt "),
    st.integers(1, 3),
    st.text("0123456789", max_size=18),
    st.sampled_from(".,"),
    OFFSETS,
)
def test_every_text_of_the_grammar_is_read(
    moment: datetime,
    is_basic: bool,
    separator: str,
    parts: int,
    fraction: str,
    point: str,
    offset: str,
) -> None:
    hyphen, colon = ("", "") if is_basic else ("-", ":")
    kept = [moment.hour, moment.minute, moment.second][:parts]
    fraction = fraction if parts == 3 else ""
    text = f"{moment.year:04}{hyphen}{moment.month:02}{hyphen}{moment.day:02}{separator}"
    text += colon.join(f"{one:02}" for one in kept) + (fraction and f"{point}{fraction}") + offset
    hour, minute, second = kept + [0] * (3 - parts)
    expected = datetime(
        *(moment.year, moment.month, moment.day, hour, minute, second),
        int(fraction.ljust(6, "0")[:6]),
        tzinfo=UTC,
    ) - offset_of(offset)
    is_real = timedelta(hours=-12) <= offset_of(offset) <= timedelta(hours=14)
    # As one of few values, which a quoted comma needs no help for.
    wanted = Verdict(expected) if is_real else Verdict(None, (WRONG,))
    assert verdict(text, careful=True) == wanted


@pytest.mark.parametrize(
    ("formats", "text", "expected"),
    [
        ('["seconds"]', "1735689600", utc(2025, 1, 1)),
        ('["seconds"]', "1735689600.25", utc(2025, 1, 1, 0, 0, 0, 250_000)),
        ('["seconds"]', "-1", utc(1969, 12, 31, 23, 59, 59)),
        ('["seconds"]', "1735689600000", WRONG),
        ('["seconds"]', "9" * 18, WRONG),
        ('["milliseconds"]', "1735689600123", utc(2025, 1, 1, 0, 0, 0, 123_000)),
        ('["milliseconds"]', "1735689600123.5", utc(2025, 1, 1, 0, 0, 0, 123_500)),
        ('["ISO 8601", "%d/%m/%Y"]', "31/12/2025", utc(2025, 12, 31)),
        ('["ISO 8601", "%d/%m/%Y"]', "2025-12-31T10:00:00Z", utc(2025, 12, 31, 10)),
        ('["%m/%d/%Y", "%m/%d/%y"]', "3/10/25", utc(2025, 3, 10)),
        ('["%m/%d/%Y"]', "3/10/25", WRONG),
        ('["%m/%d/%Y"]', "3/10/0025", utc(25, 3, 10)),
        ('["%m/%d/%Y"]', "3/10/0000", RANGE),
        ('["%d.%m.%y"]', "01.02.68", utc(2068, 2, 1)),
        ('["%d.%m.%y"]', "01.02.69", utc(1969, 2, 1)),
        ('["%Y-%m-%d %H:%M:%S%z"]', "2025-01-01 10:00:00+25:00", WRONG),
        ('["%Y-%m-%d %H:%M:%S%z"]', "2025-01-01 10:00:00+0230", utc(2025, 1, 1, 7, 30)),
        ('["%Y-%m-%d %H:%M:%S%z"]', "2025-01-01 10:00:00-02:30", utc(2025, 1, 1, 12, 30)),
        ('["%Y-%m-%d %H:%M:%S%z"]', "2025-01-01 10:00:00Z", utc(2025, 1, 1, 10)),
        ('["%Y-%m-%d %H:%M:%S.%f"]', "2025-01-01 10:00:00.5", utc(2025, 1, 1, 10, 0, 0, 500_000)),
        ('["%d %b %Y"]', "3 Mar 2025", utc(2025, 3, 3)),
        ('["%d %B %Y"]', "31 december 2025", utc(2025, 12, 31)),
        ('["%d %B %Y"]', "31 Smarch 2025", WRONG),
        ('["%a, %d %b %Y %T"]', "Mon, 03 Mar 2025 10:11:12", utc(2025, 3, 3, 10, 11, 12)),
        ('["%m/%d/%Y %I:%M %p"]', "3/10/2025 12:05 AM", utc(2025, 3, 10, 0, 5)),
        ('["%m/%d/%Y %I:%M %p"]', "3/10/2025 12:05 pm", utc(2025, 3, 10, 12, 5)),
        ('["%m/%d/%Y %I:%M %p"]', "3/10/2025 13:05 pm", WRONG),
        ('["%Y-%j"]', "2024-366", utc(2024, 12, 31)),
        ('["%Y-%j"]', "2025-366", WRONG),
        ('["%F"]', "2025-02-29", WRONG),
        ('["%D %R"]', "03/10/25 24:00", WRONG),
        ('["%e.%m.%Y"]', "3.10.2025", utc(2025, 10, 3)),
        ('["%Y.%m.%d (%H)"]', "2025.01.02 (07)", utc(2025, 1, 2, 7)),
        ('["%Y%%%m"]', "2025%03", utc(2025, 3, 1)),
        ('["%Y-%m-%dT%H:%M:%S"]', "2025-01-01 10:00:00", WRONG),
    ],
)
def test_formats_read_whole_texts_alone(formats: str, text: str, expected: object) -> None:
    assert verdict(text, formats) == (
        Verdict(None, (str(expected),)) if expected in (WRONG, RANGE) else Verdict(expected)
    )


ZONES = '[time]\nsource_time_zone = "Europe/Berlin"\nbusiness_time_zone = "America/New_York"'


@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.parametrize(
    ("text", "expected", "notes"),
    [
        ("2025-03-01", utc(2025, 3, 1, 5), {"date_only": 1}),
        ("20250301", utc(2025, 3, 1, 5), {"date_only": 1}),
        ('"2025-03-01"', utc(2025, 3, 1, 5), {"date_only": 1}),
        (" 2025-03-01 ", utc(2025, 3, 1, 5), {"date_only": 1}),
        ("2025-03-01T00", utc(2025, 2, 28, 23), {}),
        ("2025-03-01 00:00:00", utc(2025, 2, 28, 23), {}),
        ("2025-03-01T00:00:00Z", utc(2025, 3, 1), {}),
    ],
)
def test_a_date_alone_is_a_day_of_the_business_zone(
    text: str, expected: datetime, notes: dict[str, int], careful: bool
) -> None:
    contract = contract_of('type = "timestamp"', ZONES)
    parser = parser_of(contract, careful=careful)
    rows = f"0,2025-03-01T10:00:00\n7,2025-01-01T00:00:00,surplus\n1,{text}\n"
    parsed = parser.parse(chunk_of(rows.encode(), contract))
    assert parsed.clean["v"].to_pylist() == [utc(2025, 3, 1, 9), expected]
    assert (parsed.notes, parsed.reasons) == (notes, {"wrong_column_count": 1})


@pytest.mark.parametrize("count", [3, 1001])
def test_a_column_of_dates_alone_is_counted(count: int) -> None:
    contract = contract_of('type = "timestamp"', ZONES)
    data = b"".join(b"%d,2025-03-01\n\n" % row for row in range(count))
    parser = parser_of(contract)
    for _ in range(2):
        parsed = parser.parse(chunk_of(data, contract))
        assert parsed.notes == {"date_only": count}
        assert set(parsed.clean["v"].to_pylist()) == {utc(2025, 3, 1, 5)}


def test_dates_that_no_kpi_reads_are_not_counted() -> None:
    contract = built_in()
    layout = layout_of(contract, b"order_id,user_id,created_at,shipped_at", "orders")
    rows = b"1,1,2025-03-01,2025-03-02\n2,1,2025-03-01T10:00:00,2025-03-02\n"
    assert ChunkParser(layout).parse(chunk_of(rows, contract)).notes == {"date_only": 1}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1735689600", 'formats = ["seconds"]'),
        ("1735689600123", 'formats = ["milliseconds"]'),
        ("31/12/2025", 'formats = ["%d/%m/%Y"]'),
        ("12/31/2025 10:00", 'formats = ["%m/%d/%Y %H:%M"]'),
        ("01/02/2025", 'formats = ["%d/%m/%Y"] or formats = ["%m/%d/%Y"]'),
        ("31.12.2025 10:00:00", 'formats = ["%d.%m.%Y %H:%M:%S"]'),
        ("2025/12/31", 'formats = ["%Y/%m/%d"]'),
        ("2025-1-2", 'formats = ["%Y-%m-%d"]'),
        ("2025031016", 'formats = ["%Y%m%d%H"]'),
        ("202503101600", 'formats = ["%Y%m%d%H%M"]'),
        ("999999999999", 'formats = ["milliseconds"]'),
        ("\uff12\uff10\uff12\uff15-01-02", ""),
        ("yesterday", ""),
    ],
)
def test_a_reject_names_the_line_that_would_read_it(text: str, line: str) -> None:
    """That line reads it, and neighbours of another form get a line of their own."""
    contract = contract_of('type = "timestamp"')
    rows = f"0,{text}\n1,soon\n2,5.6.2025\n".encode()
    rejects = parser_of(contract).parse(chunk_of(rows, contract)).rejects.to_pylist()
    expected = [reject["reasons"][0]["expected"] for reject in rejects]
    base = "a timestamp like 2025-03-30T16:14:26"
    assert expected == [
        f"{base}; {line} would read it" if line else base,
        base,
        f'{base}; formats = ["%d.%m.%Y"] would read it',
    ]
    if line:
        formats = line.partition(" or ")[0].removeprefix("formats = ")
        assert verdict(text, formats).reasons == ()
