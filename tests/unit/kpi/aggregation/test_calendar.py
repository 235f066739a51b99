"""The business day of an instant, and days by their numbers."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kpi.aggregation.calendar
from kpi.aggregation.calendar import distinct_days, numbered, order_days
from kpi.contract.arrow_types import INSTANT


@pytest.mark.parametrize(
    ("zone", "instant", "day"),
    [
        ("UTC", datetime(2025, 3, 1, 23, 59, 59, 999_999, UTC), date(2025, 3, 1)),
        ("UTC", datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC), date(1969, 12, 31)),
        ("Europe/Berlin", datetime(2025, 3, 1, 23, 0, tzinfo=UTC), date(2025, 3, 2)),
        ("Europe/Berlin", datetime(2025, 7, 1, 22, 0, tzinfo=UTC), date(2025, 7, 2)),
        ("Europe/Berlin", datetime(2025, 7, 1, 21, 59, tzinfo=UTC), date(2025, 7, 1)),
        ("Europe/Berlin", datetime(2038, 7, 1, 22, 0, tzinfo=UTC), date(2038, 7, 2)),
        ("America/Sao_Paulo", datetime(2025, 1, 1, 2, 59, tzinfo=UTC), date(2024, 12, 31)),
        ("Pacific/Kiritimati", datetime(9999, 12, 30, tzinfo=UTC), date(9999, 12, 30)),
        ("Pacific/Kiritimati", datetime(2025, 1, 1, 10, tzinfo=UTC), date(2025, 1, 2)),
        ("Pacific/Pago_Pago", datetime(1, 1, 2, tzinfo=UTC), date(1, 1, 2)),
        ("Pacific/Pago_Pago", datetime(2025, 1, 1, 10, 59, tzinfo=UTC), date(2024, 12, 31)),
    ],
)
def test_the_business_day_is_that_of_the_contracts_time_zone(
    zone: str, instant: datetime, day: date
) -> None:
    found = order_days(pa.array([instant], INSTANT), zone)
    assert [date(1970, 1, 1) + timedelta(int(one)) for one in found] == [day]


@pytest.mark.parametrize("at_once", [1, 3, 1 << 17])
@given(days=st.lists(st.integers(-40, 40), max_size=30))
def test_days_are_numbered(at_once: int, days: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kpi.aggregation.calendar, "DAY_BLOCK_ROWS", at_once)
        dates = distinct_days(np.array(days, np.int32))
        found = numbered(np.array(days, np.int32), dates)
    assert dates.tolist() == sorted(set(days))
    assert found.tolist() == [sorted(set(days)).index(day) for day in days]
