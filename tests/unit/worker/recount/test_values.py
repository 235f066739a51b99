"""Values by the written rules, one by one."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from worker.recount import values

UTC = ZoneInfo("UTC")
BERLIN = values.Zones(source=ZoneInfo("Europe/Berlin"), business=ZoneInfo("Asia/Tokyo"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", 7),
        ("-007", -7),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", None),
        ("-9223372036854775808", -(2**63)),
        ("+7", None),
        ("", None),
        ("\u0663", None),
        ("1.0", None),
    ],
)
def test_integers(text: str, expected: int | None) -> None:
    assert values.parse_integer(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.000000000000000000", "10.0000"),
        ("19.989999771118164", "19.9900"),
        ("51.57000000000001", "51.5700"),
        ("1.776357e-15", "0.0000"),
        ("0.00005", "0.0000"),
        ("0.00015", "0.0002"),
        ("-.5", "-0.5000"),
        ("5.", "5.0000"),
        ("1e3", "1000.0000"),
        ("9999999999999.9999", "9999999999999.9999"),
        ("9999999999999.99995", None),
        ("1e99999999999", None),
        ("0e99999999999", "0.0000"),
        ("1e-99999999999", "0.0000"),
        ("1,5", None),
        ("NaN", None),
        ("", None),
    ],
)
def test_decimals(text: str, expected: str | None) -> None:
    found = values.parse_decimal(text, precision=17, scale=4, rounds=True)
    assert (None if found is None else str(found)) == expected


def test_excess_digits_may_be_bad() -> None:
    for text, is_good in (("1.23", True), ("1.230", True), ("1.234", False), ("1e-9", False)):
        found = values.parse_decimal(text, precision=15, scale=2, rounds=False)
        assert (found is not None) is is_good


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2025-03-30T16:14:26", "2025-03-30T14:14:26+00:00"),
        ("2025-03-30 16:14:26.1234567Z", "2025-03-30T16:14:26.123456+00:00"),
        ("2025-03-30T16:14+05:30", "2025-03-30T10:44:00+00:00"),
        ("2025-02-29T00:00:00Z", None),
        ("2025-03-30T24:00:00Z", None),
        ("2025-03-30T16:14:60Z", None),
        ("2025-03-30T16:14:26+25:00", None),
        ("2025-03-30T16:14:26+14:00", "2025-03-30T02:14:26+00:00"),
        ("2025-03-30T16:14:26-1201", None),
        ("2025-03-30T16:14:26+15", None),
        ("20250330T161426,5 GMT", "2025-03-30T16:14:26.500000+00:00"),
        ("20250330T16:14:26", None),
        ("2025-03-30t16:14:26z", "2025-03-30T16:14:26+00:00"),
        # A date alone is a day of the business zone.
        ("2025-03-30", "2025-03-29T15:00:00+00:00"),
        # The clocks of Berlin skip an hour at 01:00 UTC, and repeat one in October.
        ("2025-03-30T02:30:00", "2025-03-30T01:00:00+00:00"),
        ("2025-10-26T02:30:00", "2025-10-26T00:30:00+00:00"),
        ("2060-07-01T12:00:00", "2060-07-01T10:00:00+00:00"),
    ],
)
def test_iso_timestamps(text: str, expected: str | None) -> None:
    found = values.parse_timestamp(text, (), BERLIN)
    assert (None if found is None else found.isoformat()) == expected


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ("30/03/2025 16:14", "%d/%m/%Y %H:%M", datetime(2025, 3, 30, 16, 14)),
        ("3/10/25", "%m/%d/%Y", None),
        ("3/10/25", "%m/%d/%y", datetime(2025, 3, 10)),
        ("Mar 3, 2025 04:05 PM", "%b %d, %Y %I:%M %p", datetime(2025, 3, 3, 16, 5)),
        ("31/02/2025", "%d/%m/%Y", None),
        ("1735689600.25", "seconds", datetime(2025, 1, 1, 0, 0, 0, 250_000)),
        ("-1500", "milliseconds", datetime(1969, 12, 31, 23, 59, 58, 500_000)),
        ("9" * 18, "seconds", None),
        ("1.5.2025 7:08:09.25", "%d.%m.%Y %H:%M:%S.%f", datetime(2025, 5, 1, 7, 8, 9, 250_000)),
        ("5 Sept 2025", "%d %b %Y", None),
        ("2025-060", "%Y-%j", datetime(2025, 3, 1)),
        ("2025-03-30T16:14:26 +0200", "%FT%T %z", datetime(2025, 3, 30, 14, 14, 26)),
        ("2025-03-30T16:14:26 +2500", "%FT%T %z", None),
    ],
)
def test_formats(text: str, form: str, expected: datetime | None) -> None:
    found = values.parse_timestamp(text, (form,), values.Zones(source=UTC, business=UTC))
    assert found == (None if expected is None else expected.replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("\u0130ade edildi", "iade edildi"),
        ("IADE EDILDI", "\u0131ade edildi"),
        ("\u039f\u0394\u039f\u03a3", "\u03bf\u03b4\u03bf\u03c2"),
        ("STRASSE", "stra\u00dfe"),
        ("e\u0301te\u0301", "\u00c9T\u00c9"),
        (" \ufeffreturned\u00a0", "Returned"),
    ],
)
def test_folded_texts_are_equal(one: str, other: str) -> None:
    assert values.fold(one) == values.fold(other)


def test_uuids_are_lower_case() -> None:
    text = "1F" * 4 + "-0000-4000-8000-" + "0" * 12
    assert values.parse_uuid(text) == text.lower()
    assert values.parse_uuid(text.replace("-", "")) is None


def test_amounts_are_decimals() -> None:
    found = values.parse_decimal("0.1", precision=17, scale=4, rounds=True)
    assert isinstance(found, Decimal)
