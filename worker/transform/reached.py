"""How far the KPI tables have come: all together, and day by day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import numpy as np

from kpi.aggregation.calendar import Days, to_day
from kpi.aggregation.tables import record_names
from worker.state import Progress
from worker.transform.task import TransformTask


def reached_sequence(tables: Iterable[str], record: Progress) -> int:
    """Return the sequence that all of some tables, and the waiting counts, have come to."""
    reached = [record.published.get(name, 0) for name in record_names(tables)]
    return min([*reached, record.waiting_as_of])


def whole_days(task: TransformTask, begun: Mapping[date, Mapping[str, int]], head: int) -> Days:
    """Return the days whose tables are whole at the head: a transform of some days did them."""
    names = record_names(task.tables)
    days = [
        to_day(day)
        for day, published in begun.items()
        if all(published.get(name, 0) >= head for name in names)
    ]
    return np.array(days, np.int32)
