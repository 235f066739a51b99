"""Texts, and what each means: written down by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from tests.unit.kpi.columns import Verdict

BERLIN = '[time]\nsource_time_zone = "Europe/Berlin"'
SAO_PAULO = '[time]\nsource_time_zone = "America/Sao_Paulo"'
WRONG, RANGE, UNDECODABLE = "wrong_type", "out_of_range", "undecodable"


def utc(*fields: int) -> datetime:
    return datetime(*fields, tzinfo=UTC)  # type: ignore[arg-type, misc]  # numbers in their order


def expected(outcome: object) -> Verdict:
    is_reason = outcome in (WRONG, RANGE, UNDECODABLE, "too_long", "not_allowed")
    return Verdict(None, (str(outcome),)) if is_reason else Verdict(outcome)


INTEGERS = {
    "7": 7,
    "007": 7,
    "-0": 0,
    "-12": -12,
    " 7": 7,
    "7\t": 7,
    "": None,
    "9223372036854775807": 2**63 - 1,
    "-9223372036854775808": -(2**63),
    "0009223372036854775807": 2**63 - 1,
    "00000000000000000000000000000007": 7,
    "9223372036854775808": WRONG,
    "-9223372036854775809": WRONG,
    "99999999999999999999": WRONG,
    "+7": WRONG,
    "--7": WRONG,
    "-": WRONG,
    "- 7": WRONG,
    " ": WRONG,
    "7.0": WRONG,
    "7e2": WRONG,
    "1_000": WRONG,
    "1,000": WRONG,
    "0x1F": WRONG,
    "0X1f": WRONG,
    "-0x1F": WRONG,
    "NaN": WRONG,
    "\u0667": WRONG,  # an Arabic digit is no digit of a number in an export
    "7\n": WRONG,
    "\u00a07": WRONG,
    "true": WRONG,
}
DECIMALS = {
    "7": Decimal("7.00"),
    "12.5": Decimal("12.50"),
    "12.50": Decimal("12.50"),
    "007.50": Decimal("7.50"),
    "5.": Decimal("5.00"),
    ".5": Decimal("0.50"),
    "-.5": Decimal("-0.50"),
    "-0": Decimal("0.00"),
    "-0.00": Decimal("0.00"),
    "+7": Decimal("7.00"),
    " 7 ": Decimal("7.00"),
    "1e3": Decimal("1000.00"),
    "1.5E+1": Decimal("15.00"),
    "150e-2": Decimal("1.50"),
    "1.1000": Decimal("1.10"),
    "1.10000000000000": Decimal("1.10"),
    "9999999999999.99": Decimal("9999999999999.99"),
    "-9999999999999.99": Decimal("-9999999999999.99"),
    "00000000000000000009.99": Decimal("9.99"),
    "": None,
    "12345678901234": WRONG,  # 15 digits have room for 13 before the point
    "123456789012345": WRONG,
    "1e13": WRONG,
    "1e14": WRONG,
    "99999999999999999999": WRONG,
    "1e308": WRONG,
    "1e-3": WRONG,
    "1.005": WRONG,
    "0.001": WRONG,
    "NaN": WRONG,
    "inf": WRONG,
    "0x1F": WRONG,
    "12,50": WRONG,
    "1.234,50": WRONG,
    "$5": WRONG,
    ".": WRONG,
    "-": WRONG,
    "+-1": WRONG,
    "1 000": WRONG,
    "1e": WRONG,
    "e5": WRONG,
}
TIMESTAMPS = {
    "2025-03-30T16:14:26": utc(2025, 3, 30, 16, 14, 26),
    "2025-03-30 16:14:26": utc(2025, 3, 30, 16, 14, 26),
    "2025-03-30": utc(2025, 3, 30),
    "2025-03-30T16": utc(2025, 3, 30, 16),
    "2025-03-30T16:14": utc(2025, 3, 30, 16, 14),
    "2025-03-30T16:14:26Z": utc(2025, 3, 30, 16, 14, 26),
    "2025-03-30T16:14:26+02": utc(2025, 3, 30, 14, 14, 26),
    "2025-03-30T16:14:26+0200": utc(2025, 3, 30, 14, 14, 26),
    "2025-03-30T16:14:26-05:30": utc(2025, 3, 30, 21, 44, 26),
    "2025-03-30T16:14:26+14:00": utc(2025, 3, 30, 2, 14, 26),
    "2025-03-30T16:14:26-23:59": utc(2025, 3, 31, 16, 13, 26),
    "2025-03-30T16:14:26.5": utc(2025, 3, 30, 16, 14, 26, 500_000),
    "2025-03-30T16:14:26.123456": utc(2025, 3, 30, 16, 14, 26, 123_456),
    "2025-03-30T16:14:26.123456789": utc(2025, 3, 30, 16, 14, 26, 123_456),
    "2025-03-30T16:14:26.999999999Z": utc(2025, 3, 30, 16, 14, 26, 999_999),
    "2024-02-29T00:00:00": utc(2024, 2, 29),
    "2000-02-29": utc(2000, 2, 29),
    "0001-01-02T00:00:00": utc(1, 1, 2),
    "9999-12-30T00:00:00": utc(9999, 12, 30),
    "1969-12-31T23:59:59.999999": utc(1969, 12, 31, 23, 59, 59, 999_999),
    "": None,
    # Days that some time zone shows outside of the years 1 to 9999.
    "0001-01-01T00:00:00": RANGE,
    "0001-01-01T00:00:00+05:00": RANGE,
    "0000-06-01": RANGE,
    "9999-12-31T23:59:59": RANGE,
    "9999-12-31T23:59:59-05:00": RANGE,
    "2025-02-29T00:00:00": WRONG,
    "1900-02-29": WRONG,
    "2025-04-31": WRONG,
    "2025-13-01": WRONG,
    "2025-00-10": WRONG,
    "2025-01-01T23:59:60": WRONG,  # UTC's leap second: no other clock shows it
    "2025-01-01T24:00:00": WRONG,
    "2025-01-01T00:60:00": WRONG,
    "2025-01-01T00:00:00+24:00": WRONG,
    "2025-01-01T00:00:00 +02:00": WRONG,
    "2025-01-01T00:00:00z": WRONG,
    "2025-01-01t00:00:00": WRONG,
    "2025-01-01Z": WRONG,
    "2025-01-01T00:00:00.": WRONG,
    "2025-01-01T00:00:00.1234567890123": WRONG,
    "2025-1-1": WRONG,
    "20250101": WRONG,
    "10000-01-01": WRONG,
    "-001-01-01": WRONG,
    " 2025-01-01": WRONG,
    "2025-01-01 ": WRONG,
    "01/02/2025": WRONG,
    "1735689600": WRONG,
    "\u0662\u0660\u0662\u0665-01-01": WRONG,
}
BY_FORMAT = {
    "2017-10-02 10:56:33": utc(2017, 10, 2, 10, 56, 33),
    "2024-02-29 00:00:00": utc(2024, 2, 29),
    "2017-03-03 00:00:00": utc(2017, 3, 3),
    "2017-03-03 00:00:01": utc(2017, 3, 3, 0, 0, 1),
    "2017-1-2 3:4:5": utc(2017, 1, 2, 3, 4, 5),
    "": None,
    # strptime would take these for 3 March, 1 May and the next minute.
    "2017-02-31 10:00:00": WRONG,
    "2017-02-29 10:00:00": WRONG,
    "2017-4-31 10:00:00": WRONG,
    "2017-10-02 10:56:60": WRONG,
    "2017-10-02T10:56:33": WRONG,
    "2017-10-02": WRONG,
    "2017-10-02 24:00:00": WRONG,
    "2017-13-02 10:56:33": WRONG,
    "2017-10-02 10:56:33 PM": WRONG,
    "0000-10-02 10:56:33": RANGE,
}
UUID_VALUE = bytes.fromhex("0190163d8694739baea5966c26f8ad91")
UUIDS = {
    "0190163d-8694-739b-aea5-966c26f8ad91": UUID_VALUE,
    "0190163D-8694-739B-AEA5-966C26F8AD91": UUID_VALUE,
    "0190163d-8694-739B-aea5-966c26f8ad91": UUID_VALUE,
    "00000000-0000-0000-0000-000000000000": bytes(16),
    "ffffffff-ffff-ffff-ffff-ffffffffffff": bytes([255] * 16),
    "": None,
    "0190163d8694739baea5966c26f8ad91": WRONG,
    "{0190163d-8694-739b-aea5-966c26f8ad91}": WRONG,
    "urn:uuid:0190163d-8694-739b-aea5-966c26f8ad91": WRONG,
    " 0190163d-8694-739b-aea5-966c26f8ad91": WRONG,
    "0190163d-8694-739b-aea5-966c26f8ad9": WRONG,
    "0190163d-8694-739b-aea5-966c26f8ad9 ": WRONG,
    "0190163d-8694-739b-aea5-966c26f8ad9g": WRONG,
    "0190163d-8694-739b-aea5-966c26f8ad9@": WRONG,
    "0190163d-8694-739b-aea5-966c26f8ad9:": WRONG,
    "0190163d-8694-739b-aea5-966c26f8ad9`": WRONG,
    "0190163d-8694-739b-aea5-966c26f8adé": WRONG,  # 36 bytes in UTF-8
    "0190163d-8694-739b-aea5_966c26f8ad91": WRONG,
    "0190163d8-694-739b-aea5-966c26f8ad91": WRONG,
    "7": WRONG,
}
CASES = [
    ('type = "uuid"', "", UUIDS),
    ('type = "integer"', "", INTEGERS),
    ('type = "decimal"', "", DECIMALS),
    ('type = "timestamp"', "", TIMESTAMPS),
    ('type = "timestamp", formats = ["%Y-%m-%d %H:%M:%S"]', "", BY_FORMAT),
]
