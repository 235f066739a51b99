"""A burst is absorbed: goals by a simulation of AWS's limits, with the numbers of the template.

The emulator knows no quotas. Here each number of the template and each limit decides something: a
mutant of it changes an answer.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from tests.unit.infra.burst.aws_limits import Limits, Times, without_source
from tests.unit.infra.burst.simulation import Burst, Outcome, spread
from tests.unit.infra.burst.template_numbers import Numbers, numbers
from tests.unit.infra.templates import Template

MINUTE_S = 60.0
TIMES = Times()


@pytest.fixture(scope="session")
def found(template: Template) -> Numbers:
    return numbers(template)


def test_every_limit_has_a_source() -> None:
    assert without_source() == set()


@pytest.mark.parametrize(("vcpus", "within_min"), [(6, 60), (100, 12), (1000, 8)])
def test_five_thousand_uploads_in_a_minute(found: Numbers, vcpus: float, within_min: int) -> None:
    outcome = Burst(spread(5_000, 60), found, Limits(vcpus=vcpus), TIMES).run()
    assert (outcome.files, outcome.failed, outcome.dead) == (5_000, 0, 0)
    assert outcome.done_s <= within_min * MINUTE_S
    assert outcome.task_starts <= 100


def test_a_hundred_thousand_uploads_in_an_hour(found: Numbers) -> None:
    outcome = Burst(spread(100_000, 3_600), found, Limits(vcpus=100), TIMES).run()
    assert (outcome.files, outcome.failed, outcome.dead) == (100_000, 0, 0)
    assert outcome.done_s <= 3_600 + 30 * MINUTE_S
    assert outcome.task_starts <= 600


def test_one_upload_alone(found: Numbers) -> None:
    outcome = Burst([0.0], found, Limits(), TIMES).run()
    assert outcome.lag_s <= 2 * MINUTE_S


@pytest.mark.parametrize("begins_s", [0.0, 30.0, 60.0, 100.0])
def test_a_large_object_delays_no_small_one_for_long(found: Numbers, begins_s: float) -> None:
    """Its tasks are its own; only its transform keeps that of a batch waiting, for one stride."""
    alone = Burst([0.0], found, Limits(), TIMES).run()
    held_s = begins_s + TIMES.large_lease_s
    beside = Burst([0.0], found, Limits(), TIMES, lease_held_until_s=held_s).run()
    assert beside.lag_s - alone.lag_s <= 5 * MINUTE_S


@pytest.mark.parametrize("vcpus", [6, 100])
@pytest.mark.parametrize("spot_vcpus", [0, 6])
def test_the_tasks_of_a_large_object_leave_room_for_small_ones(
    found: Numbers, vcpus: float, spot_vcpus: float
) -> None:
    """Ranges and slices of 50 GB take what vCPUs there are, and ask for more again and again."""
    limits = Limits(vcpus=vcpus, spot_vcpus=spot_vcpus)
    alone = Burst([0.0], found, limits, TIMES).run()
    for begins_s in range(0, 1_200, 40):
        beside = Burst([float(begins_s)], found, limits, TIMES, large_s=[0.0]).run()
        assert (beside.files, beside.failed) == (1, 0)
        assert beside.large_s
        assert beside.lag_s - alone.lag_s <= 5 * MINUTE_S


@pytest.mark.parametrize(("vcpus", "within_min"), [(6, 60), (100, 12), (1000, 8)])
def test_a_burst_is_absorbed_though_spot_interrupts_every_task(
    found: Numbers, vcpus: float, within_min: int
) -> None:
    limits, times = Limits(vcpus=vcpus, spot_vcpus=vcpus), replace(TIMES, interrupted=1.0)
    outcome = Burst(spread(5_000, 60), found, limits, times).run()
    assert (outcome.files, outcome.failed, outcome.dead) == (5_000, 0, 0)
    assert outcome.done_s <= within_min * MINUTE_S
    assert outcome.task_starts <= 100


BURST = (5_000, 60.0)
TIGHT = Limits(vcpus=1)
"""One task at a time: the others wait for capacity."""


MUTANTS: list[tuple[str, object, Limits, dict[str, float]]] = [
    ("window_s", 60, Limits(), {}),
    ("concurrency", 1, Limits(), {}),
    ("max_files", 100, Limits(), {}),
    ("max_rounds", 1, Limits(), {"max_files": 100, "concurrency": 1}),
    ("task_vcpus", 4.0, Limits(), {}),
    ("archive_vcpus", 4.0, Limits(), {}),
    ("first_wait_s", 60, TIGHT, {}),
    ("max_wait_s", 60, TIGHT, {}),
    ("attempts", 1, TIGHT, {}),
    ("schedule_s", 3_600, Limits(start_execution_burst=0, start_execution_per_s=0), {}),
    ("visibility_s", 30, TIGHT, {}),
    ("max_receives", 1, TIGHT, {"visibility_s": 60}),
    ("retention_s", 90, TIGHT, {}),
    ("providers", ("FARGATE", "FARGATE"), Limits(), {}),
    ("large_vcpus", 6.0, Limits(), {}),
    ("at_once", 1, Limits(vcpus=100), {}),
    ("range_bytes", 2**29, Limits(), {}),
    ("days_per_slice", 7, Limits(), {}),
]


@pytest.mark.parametrize(("name", "value", "limits", "others"), MUTANTS)
def test_a_mutant_of_each_number_changes_an_answer(
    found: Numbers, name: str, value: Any, limits: Limits, others: dict[str, Any]
) -> None:
    given = replace(found, **others)
    mutant = replace(given, **{name: value})
    assert outcome_of(mutant, limits) != outcome_of(given, limits)


OTHER_LIMITS: list[dict[str, float]] = [
    {"vcpus": 1},
    {"spot_vcpus": 6},
    {"run_task_per_s": 0.02},
    {"launch_burst": 1, "launch_per_s": 0.02},
    {"launch_per_s": 0.0, "launch_burst": 5},
    {"start_execution_burst": 0, "start_execution_per_s": 0},
    {"start_execution_per_s": 0, "start_execution_burst": 10},
    {"list_executions_burst": 1, "list_executions_per_s": 0.01},
    {"list_executions_per_s": 0.01, "list_executions_burst": 2},
    {"messages_in_flight": 500},
    {"receive_messages": 1},
]


@pytest.mark.parametrize("changed", OTHER_LIMITS, ids=str)
def test_a_mutant_of_each_limit_changes_an_answer(found: Numbers, changed: dict[str, Any]) -> None:
    limits = replace(Limits(), **changed)
    assert outcome_of(found, limits) != outcome_of(found, Limits())


def test_every_number_has_a_mutant() -> None:
    mutated = {case[0] for case in MUTANTS}
    assert mutated == {one.name for one in fields(Numbers)}
    limited = {name for case in OTHER_LIMITS for name in case}
    assert limited == {one.name for one in fields(Limits)}


def test_messages_that_come_back_are_taken_again(found: Numbers) -> None:
    """Where the next task waits longer than they are hidden, they are late, and none is lost."""
    outcome = outcome_of(replace(found, visibility_s=100), Limits(vcpus=2))
    assert outcome.files + outcome.dead == BURST[0]
    assert outcome.task_starts > outcome_of(found, Limits(vcpus=2)).task_starts


def outcome_of(given: Numbers, limits: Limits) -> Outcome:
    return Burst(spread(*BURST), given, limits, TIMES, large_s=[0.0]).run()
