"""Which day counts where times carry offsets from UTC."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from kpi.inference.contract import Inferred, infer_contract
from kpi.kernels.zone_data import zone_data
from tests.unit.kpi.inference.test_evidence_of_values import ORDERS, asked, lines, sample, shop_of

FIRST = datetime(2025, 1, 3, tzinfo=UTC)

Offset = Callable[[datetime], timedelta]


def times(*offsets: Offset, late: int) -> list[str]:
    """Times of a year, two of each order, of which one order in `late` is near midnight.

    Offsets are those of the orders in turn.
    """
    cells = []
    for order in range(ORDERS):
        hour = 23 if order % late == 0 else 9
        local = FIRST + timedelta(days=6 * order, hours=hour, minutes=10)
        minutes = round(offsets[order % len(offsets)](local).total_seconds() / 60)
        sign = "-" if minutes < 0 else "+"
        zone = f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
        cells += [local.strftime(f"%Y-%m-%d %H:%M:%S {zone}")] * 2
    return cells


def constant(hours: float) -> Offset:
    return lambda _: timedelta(hours=hours)


def of_zone(name: str) -> Offset:
    return zone_data(name).offset


def infer(cells: list[str], currency: str = "", **answers: str) -> Inferred:
    columns = lines() | {"order_date": cells}
    if currency:
        columns["currency"] = [currency] * len(cells)
    return infer_contract([sample(columns)], answers)


@pytest.mark.parametrize("late", [4, 30])
@pytest.mark.parametrize(
    "offset",
    [
        *(of_zone("Europe/London"), of_zone("Europe/Berlin"), of_zone("America/New_York")),
        *(constant(2), constant(-8), constant(5.75), constant(0)),
    ],
    ids=["London", "Berlin", "New York", "+2", "-8", "+5:45", "UTC"],
)
def test_the_offset_of_one_place_is_the_shops_day(offset: Offset, late: int) -> None:
    inferred = infer(times(offset, late=late))
    assert shop_of(inferred).day == "as written"
    assert not inferred.remarks


@pytest.mark.parametrize("hours", [(1, 2), (-5, 9), (0, 1, 2)])
def test_offsets_of_several_places_are_a_question(hours: tuple[int, ...]) -> None:
    cells = times(*map(constant, hours), late=30)
    assert asked(infer(cells)) == ["day"]
    for day in ("as written", "UTC", "America/Lima"):
        assert shop_of(infer(cells, day=day)).day == day


def test_a_shop_that_moves_once_is_a_question() -> None:
    cells = times(lambda local: timedelta(hours=0 if local.month < 7 else 9), late=30)
    assert asked(infer(cells)) == ["day"]


@pytest.mark.parametrize(
    ("offset", "currency", "day"),
    [
        (constant(5), "PKR", "as written"),
        (constant(6), "PKR", "UTC"),  # Pakistan is at +5
        (constant(-5), "PEN", "as written"),
        (constant(5), "PEN", "UTC"),  # Peru is at -5
        (constant(0), "PEN", "as written"),  # of a program that knows no place
        (of_zone("Europe/Warsaw"), "PLN", "as written"),
        (constant(2), "PLN", "as written"),  # half of the year
        (constant(6), "USD", "as written"),  # shops of all countries sell in dollars
        (constant(6), "XOF", "as written"),  # of several countries
    ],
)
def test_an_offset_of_another_country_is_no_shops_own(
    offset: Offset, currency: str, day: str
) -> None:
    inferred = infer(times(offset, late=30), currency)
    assert shop_of(inferred).day == day
    assert bool(inferred.remarks) == (day == "UTC")


def test_many_days_at_an_offset_of_another_country_are_a_question() -> None:
    assert asked(infer(times(constant(-8), late=2), "PKR")) == ["day"]
