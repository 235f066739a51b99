"""Histories that Hypothesis writes, one rule after the other, and makes small where one fails.

Those of `test_histories` come in thousands from a seed each; here every choice is Hypothesis' own:
`HYPOTHESIS_PROFILE=explore pytest tests/simulation/test_stateful.py` looks for new ones.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.simulation.history import (
    AUDIT_FAULTS,
    CATEGORIES,
    DAYS,
    STATUSES,
    TRANSFORM_FAULTS,
    VALIDATE_FAULTS,
    Audit,
    History,
    Put,
    Step,
    Transform,
    Validate,
    Wait,
)
from tests.simulation.model import BROKEN, Record, Upload
from tests.simulation.mutants import NoLedgerCheck
from tests.simulation.schedule import Fault
from tests.simulation.torn import TORN, befallen_between
from tests.simulation.world import Backend, run_history
from tests.support.profiles import examples

STEPS = 14
"""Rules of a history, at most."""

ids = st.sampled_from(("1", "2"))
prices = st.sampled_from(("1.00", "9.99", "250.50"))
rows: dict[str, st.SearchStrategy[Record]] = {
    "orders": st.tuples(
        ids, ids, st.sampled_from(STATUSES), st.sampled_from(DAYS[:2]).map("{}T12:30:00".format)
    ),
    "order_items": st.tuples(ids, ids, ids, st.sampled_from(STATUSES), prices),
    "products": st.tuples(ids, st.sampled_from(CATEGORIES)),
}
files = st.sampled_from(sorted(rows)).flatmap(
    lambda dataset: st.tuples(
        st.just(dataset),
        st.integers(0, 2),
        st.lists(rows[dataset] | st.just(BROKEN[dataset]), max_size=3).map(tuple),
    )
)
days = st.sampled_from(DAYS[:2]).map(date.fromisoformat)


def faults(operations: tuple[str, ...]) -> st.SearchStrategy[Fault | None]:
    return st.none() | st.builds(
        Fault,
        what=st.sampled_from(("nap", "crash", "error")),
        operation=st.sampled_from(sorted(set(operations))),
        nth=st.integers(0, 2),
        applied=st.booleans(),
        naps=st.integers(1, 4),
    )


class Shop(RuleBasedStateMachine):
    """What happens to a shop; all of it is run when there is no more."""

    backend = Backend()

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.uploads = 0
        self.clock = 30
        self.seconds: dict[str, int] = {}
        self.schedule, self.calm = 0, 0.0

    @initialize(schedule=st.integers(0, 2**16), calm=st.sampled_from((0.0, 0.5, 0.9)))
    def begin(self, schedule: int, calm: float) -> None:
        self.schedule, self.calm = schedule, calm

    @rule(file=files, late=st.integers(0, 5), fault=faults(VALIDATE_FAULTS))
    def deliver(
        self, file: tuple[str, int, tuple[Record, ...]], late: int, fault: Fault | None
    ) -> None:
        """A file of a new name, or one that overwrites another, maybe told of late."""
        dataset, number, records = file
        key = f"{dataset}/{number}.csv"
        self.clock += 1
        second = max(self.clock - late, self.seconds.get(key, -100) + 1)
        self.seconds[key] = second
        self.steps.append(Put(upload=Upload(key=key, second=second, records=records)))
        self.steps.append(Validate(number=self.uploads, fault=fault))
        self.uploads += 1

    @precondition(lambda self: self.uploads > 0)
    @rule(
        number=st.integers(0, STEPS),
        split_bytes=st.sampled_from((0, 40, 70)),
        fault=faults(VALIDATE_FAULTS),
    )
    def redeliver(self, number: int, split_bytes: int, fault: Fault | None) -> None:
        self.steps.append(
            Validate(number=number % self.uploads, split_bytes=split_bytes, fault=fault)
        )

    @rule(everything=st.booleans(), fault=faults(TRANSFORM_FAULTS))
    def transform(self, everything: bool, fault: Fault | None) -> None:
        self.steps.append(Transform(everything=everything, fault=fault))

    @rule(first=days, fault=faults(TRANSFORM_FAULTS))
    def transform_a_day(self, first: date, fault: Fault | None) -> None:
        self.steps.append(Transform(first=first, last=first, fault=fault))

    @rule()
    def transform_in_slices(self) -> None:
        self.steps.append(Transform(planned=True))

    @rule(fault=faults(AUDIT_FAULTS))
    def audit(self, fault: Fault | None) -> None:
        self.steps.append(Audit(fault=fault))

    @precondition(lambda self: bool(self.steps) and not isinstance(self.steps[-1], Wait))
    @rule()
    def wait(self) -> None:
        self.steps.append(Wait())

    def teardown(self) -> None:
        if self.uploads:
            self.run()

    def run(self) -> None:
        history = History(steps=tuple(self.steps), schedule=self.schedule, calm=self.calm)
        if self.backend is TORN:
            history = befallen_between(history)
        outcome = run_history(history, self.backend)
        assert outcome.violation is None, "\n".join((outcome.violation, *outcome.trace))


def explored(backend: Backend, factor: float = 1, **options: Any) -> None:
    run_state_machine_as_test(
        type("Shop", (Shop,), {"backend": backend}),
        settings=settings(examples(factor), stateful_step_count=STEPS, **options),
    )


@pytest.mark.parametrize("backend", [Backend(), TORN], ids=["whole", "torn"])
def test_every_history_ends_with_the_kpis_of_its_ledger(backend: Backend) -> None:
    explored(backend)


def test_a_broken_rule_is_found() -> None:
    with pytest.raises(AssertionError, match="committed twice"):
        explored(Backend(state=NoLedgerCheck), factor=10, phases=[Phase.generate])
