"""Write histories at random: rows of few ids, steps, and faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from random import Random
from typing import TypeVar

from hypothesis import strategies as st

from kpi.aggregation.tables import KPI_TABLES
from tests.simulation.history import (
    Adopt,
    Audit,
    Erase,
    History,
    Put,
    PutBack,
    Rebuild,
    Repair,
    Rule,
    Step,
    Transform,
    Validate,
    Wait,
)
from tests.simulation.model import BROKEN, Record, Upload
from tests.simulation.schedule import Fault, What
from worker.state.records import ErasureMode

T = TypeVar("T")

DAYS = ("2025-03-01", "2025-03-02", "2025-03-03")
STATUSES = ("delivered", "returned", "")
CATEGORIES = ("Beauty", "Toys")
DATASETS = ("orders", "order_items", "products")

VALIDATE_FAULTS = ("find", "read", "create", "create", "commit", "commit", "list", "delete")
TRANSFORM_FAULTS = ("publish",) * 4 + ("advance",) * 3 + ("progress", "entries", "days", "rows")
NAMES = ("9", "10", "1", "2", "100")
"""Names of files: the order of their numbers is not that of their texts."""

MAX_STEPS = 18
"""Steps of a history beside those that open the shop."""

ERASE_FAULTS = ("stage", "create", "erase", "delete", "entries", "head")
ADOPT_FAULTS = ("adopt", "adopt", "adoption")
REBUILD_FAULTS = ("publish", "create", "create", "delete", *("advance",) * 4, "mark_again")
PUT_BACK_FAULTS = ("stage", "erase", "create", "delete", "publish")
REPAIR_FAULTS = ("find", "read", "create", "create", "commit", "commit", "delete")
RULE_FAULTS = ("find", "rule", "rule")
AUDIT_FAULTS = ("days", "entries", "rows")


class Choices:
    """Random choices that all come from one source of integers: Hypothesis, or a seed.

    The first choice is the simplest one: Hypothesis shrinks towards it.

    Args:
        integer: Returns an integer from a lower to an upper bound, both included.
    """

    def __init__(self, integer: Callable[[int, int], int]) -> None:
        self.between = integer

    def choice(self, values: Sequence[T]) -> T:
        """Choose one of some values; each is as likely as its share of them."""
        return values[self.between(0, len(values) - 1)]

    def weighted(self, weights: Mapping[T, int]) -> T:
        """Choose a value by its weight."""
        at = self.between(1, sum(weights.values()))
        for value, weight in weights.items():
            at -= weight
            if at <= 0:
                return value
        raise AssertionError(weights)

    def chance(self, percent: int) -> bool:
        """Return True with a probability in percent."""
        return self.between(1, 100) > 100 - percent


integers = lru_cache(st.integers)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw a history; Hypothesis makes a failing one small."""
    return _Author(Choices(lambda low, high: draw(integers(low, high)))).history()


def make_history(seed: int) -> History:
    """Make the history of a seed."""
    return _Author(Choices(Random(seed).randint)).history()


class _Author:
    """Writes one history with weights of its own.

    Histories in which everything happens a little find less than those in which some things happen
    often and others never ("Swarm testing", Groce et al., ISSTA 2012). So each history draws the
    number of its ids and the weights of its steps and faults.
    """

    def __init__(self, choices: Choices) -> None:
        self._choices = choices
        self._seconds: dict[str, int] = {}
        self._latest: dict[tuple[str, str], Record] = {}
        self._clock = 30
        self._late = choices.choice((0, 0, 5, 30))
        self._days = DAYS[: choices.choice((1, 2, 2, 3))]
        self._ids = choices.choice((1, 2, 2, 3))
        self._files = choices.choice((1, 3, 5))
        self._datasets = [*(choices.choice(DATASETS) for _ in range(4)), "orders"]
        self._broken_percent = choices.choice((0, 0, 20))
        self._split_percent = choices.choice((0, 0, 60))
        self._validate_fault_percent = choices.choice((0, 20, 60))
        self._transform_fault_percent = choices.choice((20, 50, 90))
        weights: dict[What, int] = {"crash": 4, "nap": 4, "error": 1}
        self._whats = [choices.weighted(weights) for _ in range(2)]
        self._wait_percent = choices.choice((0, 40, 90))
        self._kinds = {"put": 6, "validate": choices.choice((0, 1, 4)), "audit": 1}
        self._kinds["transform"] = choices.choice((3, 5, 8))
        self._kinds["there and back"] = choices.choice((0, 0, 9))
        self._kinds["rule"] = choices.choice((0, 0, 2, 6))
        self._kinds["adopt"] = choices.choice((0, 0, 1, 3))
        self._first_contract = choices.choice((None, None, None, None, 2, 2, 3, 4, 5))
        self._again_percent = choices.choice((0, 0, 30, 70))
        # In one history of eight, without a choice of its own: all others stay as they were.
        self._kinds["erase"] = int(self._late > 0 and self._again_percent == 70)
        self._kinds["put back"] = self._kinds["erase"]
        rebuilds = self._late == 0 and self._again_percent == 30
        # Likewise: where rows are broken, and nobody is erased, whose corrections go as well.
        self._kinds["repair"] = 4 if self._broken_percent and not self._kinds["erase"] else 0
        self._kinds["rebuild"] = 3 if rebuilds else self._kinds["erase"]
        self._uploads: list[Upload] = []
        self._sells = self._kinds["there and back"] > 0 or choices.chance(60)
        self._ways = {"all": 6, "slice": choices.choice((0, 2, 8)), "planned": 1, "everything": 1}

    def history(self) -> History:
        choices = self._choices
        steps: list[Step] = self._shop() if self._sells else []
        if self._first_contract is not None:
            steps.append(Adopt(number=self._first_contract))
        uploads = sum(isinstance(step, Put) for step in steps)
        most = len(steps) + MAX_STEPS
        while len(steps) < most and choices.chance(93):
            kind = choices.weighted(self._kinds)
            if kind == "put" or not uploads:
                steps += [Put(upload=self._any_upload()), self._validate(uploads)]
                uploads += 1
            elif kind == "validate":
                steps.append(self._validate(choices.between(0, uploads - 1)))
            elif kind == "transform":
                steps.append(self._transform())
            else:
                steps += self._event(kind, uploads)
                uploads = sum(isinstance(step, Put) for step in steps)
            if choices.chance(self._wait_percent):
                steps.append(Wait())
        return History(
            steps=tuple(steps),
            schedule=choices.between(0, 2**16),
            calm=choices.choice((0.0, 0.5, 0.9, 0.98)),
            versioned=choices.chance(50),
        )

    def _event(self, kind: str, uploads: int) -> list[Step]:
        """What happens to a shop beside uploads and transforms."""
        choices = self._choices
        if kind == "adopt":
            fault = self._fault(ADOPT_FAULTS, self._validate_fault_percent)
            return [Adopt(number=choices.between(0, 5), fault=fault)]
        if kind == "repair":
            fault = self._fault(REPAIR_FAULTS, self._validate_fault_percent)
            return [Repair(number=choices.between(0, uploads - 1), fault=fault)]
        if kind == "erase":
            fault = self._fault(ERASE_FAULTS, self._validate_fault_percent)
            mode: ErasureMode = choices.choice(("pseudonymise", "delete"))
            return [Erase(customer=self._id(), mode=mode, fault=fault)]
        if kind == "put back":
            return [PutBack(fault=self._fault(PUT_BACK_FAULTS, self._transform_fault_percent))]
        if kind == "rebuild":
            return self._rebuilds(uploads)
        if kind == "rule":
            return self._rulings(uploads)
        if kind == "there and back":
            return self._there_and_back(uploads)
        return [Audit(fault=self._fault(AUDIT_FAULTS, self._transform_fault_percent))]

    def _shop(self) -> list[Step]:
        """Something that has been published already, for the rest to change."""
        datasets = self._choices.choice((DATASETS, DATASETS[:2], DATASETS[:1]))
        steps: list[Step] = [Put(upload=self._upload(dataset, self._ids)) for dataset in datasets]
        steps += [Validate(number=number) for number in range(len(datasets))]
        return [*steps, Wait(), Transform(), Wait()]

    def _there_and_back(self, number: int) -> list[Step]:
        """A row changes and changes back, around a worker that publishes what is between."""
        choices = self._choices
        dataset = choices.choice((*DATASETS, "products"))
        there = self._clean_record(dataset)
        other = (there[0], *self._clean_record(dataset)[1:])
        here = self._latest.get((dataset, there[0]), other)
        fault = Fault(
            what=choices.choice(("nap", "nap", "crash")),
            operation=choices.choice(("publish", "publish", "advance", "rows")),
            nth=choices.choice((0, 0, 1)),
            applied=choices.chance(50),
            naps=choices.between(1, 5),
        )
        steps: list[Step] = []
        for step in (
            *(Put(upload=self._upload_of(dataset, there)), Validate(number=number)),
            Transform(fault=fault),
            *(Put(upload=self._upload_of(dataset, here)), Validate(number=number + 1)),
            choices.choice((Transform(), self._transform())),
        ):
            steps.append(step)
            if not isinstance(step, Put) and choices.chance(self._wait_percent):
                steps.append(Wait())
        return steps

    def _rebuilds(self, number: int) -> list[Step]:
        """Rebuild; sometimes once more, after another upload."""
        choices = self._choices
        fault = self._fault(REBUILD_FAULTS, max(50, self._transform_fault_percent))
        steps: list[Step] = [Rebuild(fault=fault)]
        if choices.chance(60):
            steps += [Put(upload=self._any_upload()), self._validate(number), Rebuild()]
        return steps

    def _rulings(self, uploads: int) -> list[Step]:
        """Retract an upload; sometimes restore it after a transform has begun."""
        choices = self._choices
        number = choices.between(0, uploads - 1)
        fault = self._fault(RULE_FAULTS, self._validate_fault_percent)
        steps: list[Step] = [Rule(number=number, kind="retraction", fault=fault)]
        if choices.chance(50):
            steps += [self._transform(), Rule(number=number, kind="restoration")]
        return steps

    def _any_upload(self) -> Upload:
        if self._uploads and self._choices.chance(self._again_percent):
            return self._again()
        dataset = self._choices.choice(self._datasets)
        return self._upload(dataset, self._choices.choice((0, 1, 1, 1, 2, 2, 3)))

    def _again(self) -> Upload:
        """The content of an earlier version of a file, under its name."""
        earlier = self._choices.choice(self._uploads)
        return self._upload_to(earlier.key, earlier.records)

    def _upload(self, dataset: str, count: int) -> Upload:
        return self._upload_of(dataset, *(self._record(dataset) for _ in range(count)))

    def _upload_of(self, dataset: str, *records: Record) -> Upload:
        choices = self._choices
        key = f"{dataset}/{NAMES[choices.between(0, self._files - 1)]}.csv"
        return self._upload_to(key, records)

    def _upload_to(self, key: str, records: tuple[Record, ...]) -> Upload:
        choices, dataset = self._choices, key.split("/", maxsplit=1)[0]
        # Files may arrive in another order than that of their upload; versions of one key do not.
        self._clock += choices.between(0, 3)
        second = max(self._clock - choices.between(0, self._late), self._seconds.get(key, -100) + 1)
        self._seconds[key] = second
        clean = (record for record in records if record != BROKEN[dataset])
        self._latest |= {(dataset, record[0]): record for record in clean}
        upload = Upload(key=key, second=second, records=records)
        self._uploads.append(upload)
        return upload

    def _record(self, dataset: str) -> Record:
        if self._choices.chance(self._broken_percent):
            return BROKEN[dataset]
        return self._clean_record(dataset)

    def _clean_record(self, dataset: str) -> Record:
        choices = self._choices
        status = choices.choice(STATUSES)
        if dataset == "orders":
            hour = choices.choice(("00:00:00", "12:30:00", "23:59:59"))
            return (self._id(), self._id(), status, f"{choices.choice(self._days)}T{hour}")
        if dataset == "order_items":
            price = f"{choices.between(1, 999)}.{choices.between(0, 99):02d}"
            return (self._id(), self._id(), self._id(), status, price)
        return (self._id(), choices.choice(CATEGORIES))

    def _id(self) -> str:
        return str(self._choices.between(1, self._ids))

    def _validate(self, number: int) -> Validate:
        split_bytes = 0
        if self._choices.chance(self._split_percent):
            split_bytes = self._choices.choice((40, 70))
        fault = self._fault(VALIDATE_FAULTS, self._validate_fault_percent)
        return Validate(number=number, split_bytes=split_bytes, fault=fault)

    def _transform(self) -> Transform:
        choices = self._choices
        fault = self._fault(TRANSFORM_FAULTS, self._transform_fault_percent)
        kind = choices.weighted(self._ways)
        tables: tuple[str, ...] = ()
        if choices.chance(10):
            tables = tuple(sorted({choices.choice(sorted(KPI_TABLES)) for _ in range(2)}))
        if kind == "slice":
            first, last = sorted(choices.choice(self._days) for _ in range(2))
            return Transform(
                first=date.fromisoformat(first),
                last=date.fromisoformat(last),
                tables=tables,
                fault=fault,
            )
        return Transform(
            planned=kind == "planned", everything=kind == "everything", tables=tables, fault=fault
        )

    def _fault(self, operations: tuple[str, ...], percent: int) -> Fault | None:
        choices = self._choices
        if not choices.chance(percent):
            return None
        return Fault(
            what=choices.choice(self._whats),
            operation=choices.choice(operations),
            nth=choices.choice((0, 0, 0, 1, 2)),
            applied=choices.chance(50),
            naps=choices.between(1, 5),
        )
