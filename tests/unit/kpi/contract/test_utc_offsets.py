"""Offsets that timestamps may carry, against those that the zones of tzdata have had."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest

from kpi.contract.utc_offsets import OFFSET, OFFSET_WITH_MINUTES


def offsets_since_1900() -> set[timedelta]:
    moments = [datetime(year, month, 1) for year in range(1900, 2040, 3) for month in (1, 7)]
    found = {timedelta(0)}
    for name in (files("tzdata") / "zones").read_text("utf-8").split():
        with (files("tzdata.zoneinfo") / name).open("rb") as file:
            zone = ZoneInfo.from_file(file)
        found.update(zone.utcoffset(moment) or timedelta(0) for moment in moments)
    return found


def test_every_offset_of_a_zone_since_1900_is_taken() -> None:
    offsets = offsets_since_1900()
    assert (min(offsets), max(offsets)) == (timedelta(hours=-12), timedelta(hours=14))
    whole = [offset for offset in offsets if not offset % timedelta(minutes=1)]
    assert len(whole) > 50
    for offset in whole:
        text = datetime(2025, 1, 1, tzinfo=timezone(offset)).isoformat()[-6:]
        for pattern in (OFFSET, OFFSET_WITH_MINUTES):
            assert re.fullmatch(pattern, text), text
            assert re.fullmatch(pattern, text.replace(":", "")), text


def test_offsets_are_taken_from_minus_12_to_plus_14_hours() -> None:
    least, most = timedelta(hours=-12), timedelta(hours=14)
    for minutes in range(-1439, 1440):
        offset = timedelta(minutes=minutes)
        text = datetime(2025, 1, 1, tzinfo=timezone(offset)).isoformat()[-6:]
        assert bool(re.fullmatch(OFFSET, text)) == (least <= offset <= most), text


@pytest.mark.parametrize(
    "text", ["+0", "+2", "+02:60", "+02:5", "+02:", "02:00", "+14:0", "+1400 "]
)
def test_other_texts_are_no_offset(text: str) -> None:
    assert not re.fullmatch(OFFSET, text)


@pytest.mark.parametrize(("text", "is_offset"), [("+02", True), ("-12", True), ("+15", False)])
def test_minutes_may_be_missing(text: str, is_offset: bool) -> None:
    assert bool(re.fullmatch(OFFSET, text)) == is_offset
    assert not re.fullmatch(OFFSET_WITH_MINUTES, text)
