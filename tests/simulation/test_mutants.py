"""The simulation finds stores that break a rule of the protocol: it is able to fail."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import find

from tests.simulation.backend import Backend
from tests.simulation.generation import histories, make_history
from tests.simulation.history import (
    Adopt,
    Erase,
    History,
    PutBack,
    Rebuild,
    Repair,
    Rule,
    Step,
    Transform,
    Validate,
    Wait,
)
from tests.simulation.invariants import Violation
from tests.simulation.maintenance_mutants import OF_MAINTENANCE, OF_REBUILDS
from tests.simulation.model import BROKEN
from tests.simulation.mutants import (
    HARMLESS,
    MUTANTS,
    OF_ADOPTIONS,
    OF_ERASURES,
    OF_REPAIRS,
    OF_RULINGS,
)
from tests.simulation.schedule import Fault
from tests.simulation.search import FIND, run_seeded, search
from tests.simulation.shop_mutants import OF_SHOPS
from tests.simulation.test_known import upload
from tests.simulation.world import MAINTAINED, run_history

BATCHES = 20
BATCH_HISTORIES = 100
"""What `test_histories` runs in CI."""


@pytest.mark.parametrize("name", MUTANTS)
def test_a_broken_rule_is_found(name: str) -> None:
    try:
        # Those that are drawn plainly notice the most, so those of all batches come first.
        for batch in range(BATCHES):
            run_seeded(batch, MUTANTS[name])
        for batch in range(BATCHES):
            search(batch, MUTANTS[name], histories=BATCH_HISTORIES, phases=FIND)
    except Violation:
        return
    pytest.fail(f"no history of {BATCHES * BATCH_HISTORIES} notices {name}")


FIRST = (
    upload("orders", "first", 1, ("1", "1", "", "2025-03-01T00:00:00")),
    Validate(number=0),
    Transform(),
    Wait(),
)
DURING_AN_ADOPTION: tuple[Step, ...] = (
    *FIRST,
    Adopt(number=1, fault=Fault(what="nap", operation="adopt", naps=2)),
    upload("orders", "second", 2, ("2", "1", "", "2025-03-02T00:00:00")),
    Validate(number=1),
    Transform(),
)
HISTORIES_OF_ADOPTIONS: dict[str, tuple[Step, ...]] = {
    "StagedCounts": DURING_AN_ADOPTION,
    "AdoptsBlindly": DURING_AN_ADOPTION,
    "AdoptionLeavesADay": (*FIRST, Adopt(number=1), Wait(), Transform()),
}
SCHEDULES = 40
MAINTAINED_HISTORIES = 100
REPAIR_SCHEDULES = 15


def check_found(mutant: Backend, steps: tuple[Step, ...], schedules: int) -> None:
    """Check that some schedule of the steps notices a mutant, and none the real stores."""
    tried = [History(steps=steps, schedule=number, calm=0.9) for number in range(schedules)]
    assert all(run_history(one).violation is None for one in tried)
    assert any(run_history(one, mutant).violation for one in tried)


@pytest.mark.parametrize("name", OF_ADOPTIONS)
def test_a_broken_rule_of_adoptions_is_found(name: str) -> None:
    check_found(OF_ADOPTIONS[name], HISTORIES_OF_ADOPTIONS[name], SCHEDULES)


@pytest.mark.parametrize("name", OF_MAINTENANCE)
def test_a_broken_rule_of_maintenance_is_found(name: str) -> None:
    for seed in range(MAINTAINED_HISTORIES):
        history = replace(make_history(seed), schedule=(1_000 + seed) * MAINTAINED)
        if run_history(history, OF_MAINTENANCE[name]).violation is not None:
            assert run_history(history).violation is None
            return
    pytest.fail(f"no history of {MAINTAINED_HISTORIES} notices {name}")


DURING_AN_ERASURE: tuple[Step, ...] = (
    *FIRST,
    Erase(fault=Fault(what="nap", operation="erase", naps=3)),
    upload("orders", "second", 2, ("2", "1", "", "2025-03-02T00:00:00")),
    Validate(number=1),
    Transform(),
)
HISTORIES_OF_ERASURES: dict[str, tuple[Step, ...]] = {
    "ForgetsErasures": (
        *FIRST,
        upload("orders", "second", 2, ("2", "1", "", "2025-03-02T00:00:00")),
        Validate(number=1, fault=Fault(what="nap", operation="commit", naps=5)),
        Erase(),
        Transform(),
    ),
    "ErasesBlindly": DURING_AN_ERASURE,
    "ErasesByHalves": (*FIRST, Erase(), Wait(), Transform(everything=True)),
}


@pytest.mark.parametrize("name", OF_ERASURES)
def test_a_broken_rule_of_erasures_is_found(name: str) -> None:
    steps = HISTORIES_OF_ERASURES[name]
    histories_ = [
        History(steps=steps, schedule=schedule, calm=0.9) for schedule in range(SCHEDULES)
    ]
    assert all(run_history(one).violation is None for one in histories_)
    assert any(run_history(one, OF_ERASURES[name]).violation for one in histories_)


BROKEN_FIRST: tuple[Step, ...] = (
    upload("orders", "first", 1, BROKEN["orders"], ("2", "1", "", "2025-03-02T00:00:00")),
    Validate(number=0),
    Transform(),
    Wait(),
)
HISTORIES_OF_REPAIRS: dict[str, tuple[Step, ...]] = {
    "RepairsRankLast": (
        *BROKEN_FIRST,
        upload("orders", "second", 2, ("1", "2", "", "2025-03-03T00:00:00")),
        Validate(number=1),
        Repair(number=0),
        Transform(),
    ),
    "RepairsBlindly": (*BROKEN_FIRST, Repair(number=0), Repair(number=0), Wait(), Transform()),
}


@pytest.mark.parametrize("name", OF_REPAIRS)
def test_a_broken_rule_of_repairs_is_found(name: str) -> None:
    check_found(OF_REPAIRS[name], HISTORIES_OF_REPAIRS[name], REPAIR_SCHEDULES)


IN_LANGUAGE_2: tuple[Step, ...] = (*FIRST, Adopt(number=4), Wait())


def one_by_one(*steps: Step) -> tuple[Step, ...]:
    """Put a wait behind each step."""
    return tuple(one for step in steps for one in (step, Wait()))


HISTORIES_OF_SHOPS: dict[str, tuple[Step, ...]] = {
    "ForgetsATable": one_by_one(
        *IN_LANGUAGE_2,
        Transform(),
        upload("order_items", "lines", 2, ("1", "1", "1", "", "9.99")),
        Validate(number=1),
        Transform(tables=("order_kpis",)),
        Transform(),
    ),
    "LeavesEmptyDays": one_by_one(
        *IN_LANGUAGE_2,
        Transform(),
        Rule(number=0, kind="retraction"),
        Transform(),
    ),
    "SeesNoEnds": one_by_one(
        *IN_LANGUAGE_2,
        upload("order_items", "lines", 2, ("1", "1", "1", "", "9.99")),
        Validate(number=1),
        Transform(),
        Rule(number=0, kind="retraction"),
        Transform(),
    ),
    "ForgetsFormerDays": one_by_one(
        *FIRST,
        Adopt(number=1),  # by whose times the order is on the day before
        Transform(fault=Fault(what="nap", operation="publish", naps=2)),
        Adopt(number=4),
        Transform(),
    ),
    "StandsWhereItCame": one_by_one(
        upload("orders", "first", 1, ("1", "1", "delivered", "2025-03-01T00:00:00")),
        Validate(number=0),
        Adopt(number=5),
        upload("products", "all", 2, ("1", "Toys")),
        Validate(number=1),
        upload("order_items", "lines", 3, ("1", "1", "1", "", "9.99")),
        Validate(number=2),
        upload("order_items", "others", 4, ("1", "1", "1", "", "5.00")),
        Validate(number=3),
        upload("order_items", "lines", 5, ("2", "2", "1", "", "7.00")),
        Validate(number=4),
        Transform(),
    ),
}


HISTORIES_OF_REBUILDS: dict[str, tuple[Step, ...]] = {
    "KeepsEveryDay": one_by_one(
        *FIRST,
        Rebuild(fault=Fault(what="crash", operation="advance")),
        upload("orders", "second", 2, ("2", "1", "", "2025-03-01T00:00:00")),
        Validate(number=1),
        Rebuild(),
    ),
    "RepeatsNoErasure": one_by_one(*FIRST, Erase(), Transform(), PutBack(), Transform()),
}
HISTORIES_OF_RULINGS: dict[str, tuple[Step, ...]] = {
    "RulesOnOne": one_by_one(
        *FIRST,
        upload("orders", "first", 2, ("1", "1", "", "2025-03-01T00:00:00")),
        Validate(number=1),
        Rule(number=1, kind="retraction"),
        Transform(),
    ),
    "SeesTheEndsAlone": one_by_one(
        *FIRST,
        Rule(number=0, kind="retraction"),
        Transform(last=date(2025, 3, 2)),  # some days alone
        Rule(number=0, kind="restoration"),
        Transform(),
    ),
}


OF_HISTORIES = OF_SHOPS | OF_RULINGS | OF_REBUILDS


@pytest.mark.parametrize("name", OF_HISTORIES)
def test_a_broken_rule_is_found_by_its_history(name: str) -> None:
    steps = (HISTORIES_OF_SHOPS | HISTORIES_OF_RULINGS | HISTORIES_OF_REBUILDS)[name]
    history = History(steps=steps, schedule=1, calm=0.9)
    assert run_history(history).violation is None
    assert run_history(history, OF_HISTORIES[name]).violation


def test_hypothesis_makes_a_history_small() -> None:
    smallest = find(
        histories(), lambda history: sum(isinstance(one, Transform) for one in history.steps) > 1
    )
    assert len(smallest.steps) <= 10  # those that open the shop, and two transforms


def test_a_violation_says_its_steps_and_how_to_repeat_it() -> None:
    with pytest.raises(Violation, match=r"(?s)repeat: SHOPKPI_SEED=0 .*steps:.*Put.*turns:"):
        search(0, MUTANTS["NoLedgerCheck"], histories=BATCH_HISTORIES, phases=FIND)


def test_what_breaks_no_rule_is_not_found() -> None:
    search(0, HARMLESS, histories=BATCH_HISTORIES // 4, phases=FIND)
