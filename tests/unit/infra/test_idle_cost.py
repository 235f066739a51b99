"""A stage without uploads costs less than $8 a month, by its template and a table of prices."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from benchmarks.prices import load_prices
from tests.unit.infra.idle_cost import IDLE_PATHS, idle_month, runs_a_month
from tests.unit.infra.templates import ROOT, Template

GOAL = 8.00


def test_an_idle_stage_stays_below_its_goal(template: Template) -> None:
    costs = idle_month(template)
    assert sum(costs.values()) < GOAL, costs
    # With everything that an operator looks at.
    assert costs["dashboards"] == 3.00
    assert costs["alarms"] >= 3.00
    assert "interface endpoints" not in costs


def test_endpoints_are_most_of_what_a_private_stage_costs(full: Template) -> None:
    costs = idle_month(full)
    # Registry (2), logs, queues, Step Functions and Glue in three zones.
    assert costs["interface endpoints"] == pytest.approx(6 * 3 * 7.30)
    assert "addresses" not in costs


def test_the_page_gives_the_month_of_the_template(template: Template) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    (shown,) = re.findall(r"Together \*\*\$(\d+\.\d\d)\*\* a month", page)
    assert float(shown) == pytest.approx(sum(idle_month(template).values()), abs=0.005)


def test_idle_paths_are_paths_of_the_state_machines(template: Template) -> None:
    for machine, path in IDLE_PATHS.items():
        definition = template.definitions[machine.lower()]
        assert definition["StartAt"] == path[0]
        for one, after in pairwise(path):
            state = definition["States"][one]
            nexts = [choice["Next"] for choice in state.get("Choices", [])]
            assert after in {*nexts, state.get("Default"), state.get("Next")}, (machine, one)
        assert definition["States"][path[-1]]["Type"] == "Succeed"


def test_every_price_has_a_source_and_a_date() -> None:
    for name, one in load_prices().items():
        assert one.price > 0, name
        assert one.source.startswith("https://"), name
        assert re.search(r"20\d\d-\d\d", one.date), name
        assert one.unit, name


def test_runs_of_schedules_are_counted() -> None:
    assert runs_a_month("rate(5 minutes)") == 8_760
    assert runs_a_month("rate(2 hours)") == 365
    assert runs_a_month("cron(0 4 * * ? *)") == pytest.approx(30.4, abs=0.1)
