"""Dates in the forms that contracts name."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.contract.forms import DateForm
from kpi.mapping.dates import Clock, Times, read_times

AS_WRITTEN = Clock("as written", "UTC")


def read(example: str, text: str | None, clock: Clock = AS_WRITTEN) -> Times:
    form = DateForm.of_example(example)
    assert form is not None
    return read_times(pa.array([text], pa.string()), [form], clock)


@pytest.mark.parametrize(
    ("example", "text", "expected"),
    [
        ("iso", "2025-03-01", "2025-03-01T00:00:00"),
        ("iso", "2025-03-01 10:14:00 -0500", "2025-03-01T15:14:00"),
        ("iso", "2021-12-06 18:00:00 UTC", "2021-12-06T18:00:00"),
        ("iso", "2025-03-01T10:14:26.1234567Z", "2025-03-01T10:14:26.123456"),
        ("31.12.2025", "1.3.2025", "2025-03-01T00:00:00"),
        ("12/31/2025 23:59", "12/1/2009 7:45", "2009-12-01T07:45:00"),
        ("31-12-2025", "01-03-2025", "2025-03-01T00:00:00"),
        ("31/12/25", "01/03/09", "2009-03-01T00:00:00"),
        ("Dec 31, 2025", "Mar 01, 2025", "2025-03-01T00:00:00"),
        ("31 December 2025", "1 May 2025", "2025-05-01T00:00:00"),
        ("Wed, 31 Dec 2025 23:59:59", "Sat, 1 Mar 2025 00:00:01", "2025-03-01T00:00:01"),
        ("31 Desember 2025", "12 Agustus 2025", "2025-08-12T00:00:00"),
        ("31-Des-25", "01-Mei-25", "2025-05-01T00:00:00"),
        ("31 déc. 2025", "7 AOUT 2025", "2025-08-07T00:00:00"),
        ("31 déc. 2025", "3 mars 2025", "2025-03-03T00:00:00"),
        ("31 de dezembro de 2025", "1 de MARÇO de 2025", "2025-03-01T00:00:00"),
        ("31. prosinec 2025", "1. lis 2025", "2025-11-01T00:00:00"),
        ("31. prosinac 2025", "1. lis 2025", "2025-10-01T00:00:00"),
        ("31 Aral\u0131k 2025", "1 HAZİRAN 2025", "2025-06-01T00:00:00"),
        ("31 декабря 2025 \u0433.", "1 янв. 2025 \u0433", "2025-01-01T00:00:00"),
        ("31 ธ.ค. 2025", "2 มี.ค. 2025", "2025-03-02T00:00:00"),
        ("31 grudnia 2025 r.", "1 lut 2025 r.", "2025-02-01T00:00:00"),
        ("2025. december 31.", "2025. március 3.", "2025-03-03T00:00:00"),
        ("2025年12月31日 23:59", "2025年1月5日 9:30", "2025-01-05T09:30:00"),
        ("2025년 12월 31일", "2025년 1월 5일", "2025-01-05T00:00:00"),
        ("12/31/2025 11:59 PM", "1/2/2025 12:05 am", "2025-01-02T00:05:00"),
        ("31.12.2025 23:59:59 UTC", "02.03.2025 05:23:19 UTC", "2025-03-02T05:23:19"),
        ("2025-12-31T23:59:59+01:00", "2025-03-01T00:30:00+01:00", "2025-02-28T23:30:00"),
        ("iso", "2025-03-01t00:30:00z", "2025-03-01T00:30:00"),
        ("20251231", "20250301", "2025-03-01T00:00:00"),
        ("20251231 23:59", "20250301 09:30", "2025-03-01T09:30:00"),
        ("seconds", "1433224214", "2015-06-02T05:50:14"),
        ("milliseconds", "1433224214164", "2015-06-02T05:50:14.164"),
    ],
)
def test_a_time_in_its_form_is_read(example: str, text: str, expected: str) -> None:
    found = read(example, text)
    assert found.valid.all()
    assert found.instants.tolist() == [np.datetime64(expected, "us").astype(int)]


@pytest.mark.parametrize(
    ("example", "text"),
    [
        ("iso", "2025-02-29"),
        ("iso", "2025-13-01"),
        ("iso", "01.03.2025"),
        ("iso", "2025-03-01 24:00"),
        ("31.12.2025", "12/31/2025"),
        ("31.12.2025", "01.03.2025 10:00"),
        ("12/31/2025", "31/12/2025"),
        ("12/31/2025 11:59 PM", "1/2/2025 13:05 PM"),
        ("Dec 31, 2025", "Foo 1, 2025"),
        ("20251231", "2025-03-01"),
        ("20251231", "20250229"),
        ("20251231", "202503011"),
        ("seconds", "soon"),
    ],
)
def test_another_form_is_wrong(example: str, text: str) -> None:
    assert read(example, text).wrong.all()


@pytest.mark.parametrize("example", ["2025", "31.12.", "yesterday", "31.12.2025 11:59", ""])
def test_an_unclear_example_is_refused(example: str) -> None:
    assert DateForm.of_example(example) is None


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)))
def test_every_day_of_the_calendar_is_read(when: datetime) -> None:
    found = read("iso", when.isoformat(timespec="microseconds"))
    delta = when.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    assert found.days.tolist() == [delta.days]


def test_the_day_of_a_zone_differs_from_the_one_written() -> None:
    text = "2025-03-01T23:30:00+00:00"
    written = read("iso", text).days
    berlin = read("iso", text, Clock("Europe/Berlin", "UTC")).days
    assert berlin.tolist() == (written + 1).tolist()
