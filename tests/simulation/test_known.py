"""Races that random histories found, step by step."""

from __future__ import annotations

from datetime import date

from tests.simulation.backend import Backend
from tests.simulation.history import Adopt, Audit, History, Put, Step, Transform, Validate, Wait
from tests.simulation.model import Record, Upload
from tests.simulation.schedule import Fault
from tests.simulation.torn import TORN
from tests.simulation.world import run_history

WAIT = Wait()


def upload(dataset: str, name: str, second: int, *records: Record) -> Put:
    return Put(upload=Upload(key=f"{dataset}/{name}.csv", second=second, records=records))


SOLD = (
    upload("orders", "all", 1, ("1", "1", "", "2025-03-01T00:00:00")),
    Validate(number=0),
    upload("order_items", "all", 2, ("1", "1", "1", "", "9.99")),
    Validate(number=1),
)
"""An order of one item, of a product that is not known."""


def holds(*steps: Step, backend: Backend | None = None) -> None:
    """Each step ends before the next begins, but for workers that sleep."""
    every = tuple(one for step in steps for one in (step, WAIT))
    outcome = run_history(History(steps=every, schedule=0, calm=0.0), backend)
    assert outcome.violation is None, "\n".join((str(outcome.violation), *outcome.trace))


def test_a_late_transform_does_not_bring_back_an_order_that_has_moved() -> None:
    # It is about to publish the order's first day, on which no order has ever been published.
    late = Fault(what="nap", operation="publish", naps=2)
    holds(
        upload("orders", "old", 1, ("1", "1", "", "2025-03-01T00:00:00")),
        Validate(number=0),
        Transform(fault=late),
        upload("orders", "new", 2, ("1", "1", "", "2025-03-02T00:00:00")),
        Validate(number=1),
        Transform(),
    )


def test_a_late_transform_brings_no_day_of_a_former_contract_back() -> None:
    # Under the second contract the order is on the next day, and its first one is never published.
    late = Fault(what="nap", operation="publish", naps=2)
    holds(
        upload("orders", "late evening", 1, ("1", "1", "", "2025-03-01T23:59:59")),
        Validate(number=0),
        Transform(fault=late),
        Adopt(),
        Transform(),
    )


def test_a_late_transform_brings_no_day_of_former_clean_rows_back() -> None:
    # By the third contract the order is on the day before.
    late = Fault(what="nap", operation="publish", naps=2)
    holds(
        upload("orders", "early morning", 1, ("1", "1", "", "2025-03-01T00:00:00")),
        Validate(number=0),
        Transform(fault=late),
        Adopt(number=1),
        Transform(),
    )


def test_an_upload_that_comes_during_an_adoption_counts() -> None:
    holds(
        upload("orders", "first", 1, ("1", "1", "", "2025-03-01T00:00:00")),
        Validate(number=0),
        Transform(),
        Adopt(number=1, fault=Fault(what="nap", operation="adopt", naps=2)),
        upload("orders", "second", 2, ("2", "1", "", "2025-03-02T00:00:00")),
        Validate(number=1),
        Transform(),
    )


def test_a_category_that_changes_twice_while_a_day_is_published_between() -> None:
    day = date(2025, 3, 1)
    for lost in (Transform(first=day, last=day), Transform(fault=died_before_advancing())):
        holds(
            *SOLD,
            Transform(),
            upload("products", "first", 3, ("1", "Beauty")),
            Validate(number=2),
            lost,
            upload("products", "second", 4, ("1", "Toys")),
            Validate(number=3),
            Transform(),
        )


def test_a_category_that_changes_and_changes_back_while_a_day_is_published_between() -> None:
    holds(
        *SOLD,
        upload("products", "first", 3, ("1", "Beauty")),
        Validate(number=2),
        Transform(),
        upload("products", "second", 4, ("1", "Toys")),
        Validate(number=3),
        Transform(fault=died_before_advancing()),
        upload("products", "third", 5, ("1", "Beauty")),
        Validate(number=4),
        Transform(),
    )


def test_a_category_that_changes_and_changes_back_while_a_transform_sleeps() -> None:
    # It wakes up when the second change is done with, and publishes what was between.
    holds(
        *SOLD,
        upload("products", "first", 3, ("1", "Toys")),
        Validate(number=2),
        Transform(),
        upload("products", "second", 4, ("1", "Beauty")),
        Validate(number=3),
        Transform(fault=Fault(what="nap", operation="publish", naps=2)),
        upload("products", "third", 5, ("1", "Toys")),
        Validate(number=4),
        Transform(),
    )


def test_a_category_that_changes_twice_around_a_day_that_is_half_published() -> None:
    # Who publishes another table of the day says nothing of what the dead one left of this.
    holds(
        *SOLD,
        Transform(),
        upload("products", "first", 3, ("1", "Toys")),
        Validate(number=2),
        Transform(fault=Fault(what="crash", operation="between")),
        Transform(tables=("order_kpis",), everything=True),
        upload("products", "second", 4, ("1", "Beauty")),
        Validate(number=3),
        Transform(),
        backend=TORN,
    )


def test_a_line_waits_for_its_product_when_its_order_comes_back() -> None:
    # By this contract an order without status is gone: its lines wait for nothing.
    holds(
        upload("orders", "old", 1, ("1", "1", "", "2025-03-01T00:00:00")),
        Validate(number=0),
        upload("order_items", "all", 2, ("1", "1", "1", "", "9.99")),
        Validate(number=1),
        Adopt(number=5),
        Transform(),
        upload("orders", "new", 3, ("1", "1", "delivered", "2025-03-01T00:00:00")),
        Validate(number=2),
        Transform(),
    )


def died_before_advancing() -> Fault:
    return Fault(what="crash", operation="advance")


def test_an_audit_does_not_take_a_day_that_is_being_emptied_for_wrong() -> None:
    holds(
        upload("orders", "old", 1, ("1", "1", "", "2025-03-01T00:00:00")),
        Validate(number=0),
        Transform(),
        Audit(fault=Fault(what="nap", operation="rows", naps=2)),
        upload("orders", "new", 2, ("1", "1", "", "2025-03-02T00:00:00")),
        Validate(number=1),
        Transform(),
    )
