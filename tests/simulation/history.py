"""Histories: what is uploaded, which workers start, what befalls them. Each is made of a seed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from random import Random

from kpi.aggregation.tables import KPI_TABLES
from tests.simulation.model import BROKEN, Record, Upload
from tests.simulation.schedule import Fault, What
from worker.state.records import Decision

DAYS = ("2025-03-01", "2025-03-02", "2025-03-03")
STATUSES = ("delivered", "returned", "")
CATEGORIES = ("Beauty", "Toys")
DATASETS = ("orders", "order_items", "products")

VALIDATE_FAULTS = ("find", "read", "create", "create", "commit", "commit", "list", "delete")
TRANSFORM_FAULTS = ("publish",) * 4 + ("advance",) * 3 + ("progress", "entries", "days", "rows")
RULE_FAULTS = ("find", "rule", "rule")
AUDIT_FAULTS = ("days", "entries", "rows")


@dataclass(frozen=True, kw_only=True)
class Put:
    """A file is written; it replaces an earlier version of its key."""

    upload: Upload


@dataclass(frozen=True, kw_only=True)
class Validate:
    """A worker is told of an upload.

    Attributes:
        number: Which upload of the history, from 0, modulo their number so far.
        split_bytes: Length of the byte ranges that are validated apart; 0 for the whole object.
        fault: What befalls the worker.
    """

    number: int
    split_bytes: int = 0
    fault: Fault | None = None


@dataclass(frozen=True, kw_only=True)
class Transform:
    """A worker brings the KPI tables up to date.

    Attributes:
        first: First day of a slice.
        last: Its last day.
        everything: Computes every day anew.
        planned: One transform for each day that is planned, all at once, then one of all days.
        tables: KPI tables to bring up to date; none for all.
        fault: What befalls the worker.
    """

    first: date | None = None
    last: date | None = None
    everything: bool = False
    planned: bool = False
    tables: tuple[str, ...] = ()
    fault: Fault | None = None


@dataclass(frozen=True, kw_only=True)
class Audit:
    """Someone compares what is published with the clean zone.

    Attributes:
        fault: What befalls the worker.
    """

    fault: Fault | None = None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Someone retracts or restores an upload, if the ledger has it.

    Attributes:
        number: Which upload, as `Validate.number`.
        kind: The ruling.
        fault: What befalls the process.
    """

    number: int
    kind: Decision
    fault: Fault | None = None


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Nothing new happens until all workers have ended or sleep."""


Step = Put | Validate | Transform | Audit | Rule | Wait


@dataclass(frozen=True, kw_only=True)
class History:
    """Steps, started one after the other; none but `Wait` waits for those before.

    Attributes:
        steps: What happens.
        schedule: Seed of the choices between processes.
        calm: See `tests.simulation.schedule.Scheduler`.
    """

    steps: tuple[Step, ...]
    schedule: int
    calm: float


def make_history(seed: int) -> History:
    """The history of a seed."""
    return _Author(Random(seed)).history()


class _Author:
    """Writes one history, in a temper of its own.

    Histories in which everything happens a little find less than those in which some things happen
    often and others never ("Swarm testing", Groce et al., ISSTA 2012): so ids, kinds of steps and
    faults are weighted anew for each.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._seconds: dict[str, int] = {}
        self._latest: dict[tuple[str, str], Record] = {}
        self._clock = 30
        self._late = random.choice((0, 0, 5, 30))
        self._days = DAYS[: random.choice((1, 2, 2, 3))]
        self._ids = random.choice((1, 2, 2, 3))
        self._files = random.choice((1, 3, 5))
        self._datasets = [*random.choices(DATASETS, k=4), "orders"]
        self._broken_rate = random.choice((0.0, 0.0, 0.2))
        self._split_rate = random.choice((0.0, 0.0, 0.6))
        self._validate_faults = random.choice((0.0, 0.2, 0.6))
        self._transform_faults = random.choice((0.2, 0.5, 0.9))
        self._whats: list[What] = random.choices(("crash", "nap", "error"), (4, 4, 1), k=2)
        self._waits = random.choice((0.0, 0.4, 0.9))
        self._kinds = {"put": 6, "validate": random.choice((0, 1, 4)), "audit": 1}
        self._kinds["transform"] = random.choice((3, 5, 8))
        self._kinds["there and back"] = random.choice((0, 0, 9))
        self._kinds["rule"] = random.choice((0, 0, 2, 6))
        self._sells = self._kinds["there and back"] > 0 or random.random() < 0.6
        self._ways = {"all": 6, "slice": random.choice((0, 2, 8)), "planned": 1, "everything": 1}

    def history(self) -> History:
        random = self._random
        steps: list[Step] = self._shop() if self._sells else []
        uploads = sum(isinstance(step, Put) for step in steps)
        wanted = len(steps) + random.randint(5, 18)
        while len(steps) < wanted:
            (kind,) = random.choices(list(self._kinds), list(self._kinds.values()))
            if kind == "put" or not uploads:
                steps += [Put(upload=self._any_upload()), self._validate(uploads)]
                uploads += 1
            elif kind == "validate":
                steps.append(self._validate(random.randrange(uploads)))
            elif kind == "transform":
                steps.append(self._transform())
            elif kind == "rule":
                steps += self._rulings(uploads)
            elif kind == "there and back":
                steps += self._there_and_back(uploads)
                uploads += 2
            else:
                steps.append(Audit(fault=self._fault(AUDIT_FAULTS, self._transform_faults)))
            if random.random() < self._waits:
                steps.append(Wait())
        return History(
            steps=tuple(steps),
            schedule=random.randrange(2**32),
            calm=random.choice((0.0, 0.5, 0.9, 0.98)),
        )

    def _shop(self) -> list[Step]:
        """Something that has been published already, for the rest to change."""
        datasets = self._random.choice((DATASETS, DATASETS[:2], DATASETS[:1]))
        steps: list[Step] = [Put(upload=self._upload(dataset, self._ids)) for dataset in datasets]
        steps += [Validate(number=number) for number in range(len(datasets))]
        return [*steps, Wait(), Transform(), Wait()]

    def _there_and_back(self, number: int) -> list[Step]:
        """A row changes and changes back, around a worker that publishes what is between."""
        random = self._random
        dataset = random.choice((*DATASETS, "products"))
        there = self._clean_record(dataset)
        other = (there[0], *self._clean_record(dataset)[1:])
        here = self._latest.get((dataset, there[0]), other)
        fault = Fault(
            what=random.choice(("nap", "nap", "crash")),
            operation=random.choice(("publish", "publish", "advance", "rows")),
            nth=random.choice((0, 0, 1)),
            applied=random.random() < 0.5,
            naps=random.randint(1, 5),
        )
        steps: list[Step] = []
        for step in (
            *(Put(upload=self._upload_of(dataset, there)), Validate(number=number)),
            Transform(fault=fault),
            *(Put(upload=self._upload_of(dataset, here)), Validate(number=number + 1)),
            random.choice((Transform(), self._transform())),
        ):
            steps.append(step)
            if not isinstance(step, Put) and random.random() < self._waits:
                steps.append(Wait())
        return steps

    def _rulings(self, uploads: int) -> list[Step]:
        """Retract an upload; sometimes restore it after a transform has begun."""
        random = self._random
        number = random.randrange(uploads)
        fault = self._fault(RULE_FAULTS, self._validate_faults)
        steps: list[Step] = [Rule(number=number, kind="retraction", fault=fault)]
        if random.random() < 0.5:
            steps += [self._transform(), Rule(number=number, kind="restoration")]
        return steps

    def _any_upload(self) -> Upload:
        dataset = self._random.choice(self._datasets)
        return self._upload(dataset, self._random.choice((0, 1, 1, 1, 2, 2, 3)))

    def _upload(self, dataset: str, count: int) -> Upload:
        return self._upload_of(dataset, *(self._record(dataset) for _ in range(count)))

    def _upload_of(self, dataset: str, *records: Record) -> Upload:
        random = self._random
        key = f"{dataset}/{random.randrange(self._files)}.csv"
        # Files may arrive in another order than that of their upload; versions of one key do not.
        self._clock += random.randint(0, 3)
        second = max(self._clock - random.randint(0, self._late), self._seconds.get(key, -100) + 1)
        self._seconds[key] = second
        clean = (record for record in records if record != BROKEN[dataset])
        self._latest |= {(dataset, record[0]): record for record in clean}
        return Upload(key=key, second=second, records=records)

    def _record(self, dataset: str) -> Record:
        if self._random.random() < self._broken_rate:
            return BROKEN[dataset]
        return self._clean_record(dataset)

    def _clean_record(self, dataset: str) -> Record:
        random = self._random
        status = random.choice(STATUSES)
        if dataset == "orders":
            hour = random.choice(("00:00:00", "12:30:00", "23:59:59"))
            return (self._id(), self._id(), status, f"{random.choice(self._days)}T{hour}")
        if dataset == "order_items":
            price = f"{random.randrange(1, 1000)}.{random.randrange(100):02d}"
            return (self._id(), self._id(), self._id(), status, price)
        return (self._id(), random.choice(CATEGORIES))

    def _id(self) -> str:
        return str(self._random.randint(1, self._ids))

    def _validate(self, number: int) -> Validate:
        split_bytes = 0
        if self._random.random() < self._split_rate:
            split_bytes = self._random.choice((40, 70))
        fault = self._fault(VALIDATE_FAULTS, self._validate_faults)
        return Validate(number=number, split_bytes=split_bytes, fault=fault)

    def _transform(self) -> Transform:
        random = self._random
        fault = self._fault(TRANSFORM_FAULTS, self._transform_faults)
        (kind,) = random.choices(list(self._ways), list(self._ways.values()))
        tables: tuple[str, ...] = ()
        if random.random() < 0.1:
            tables = tuple(sorted(random.sample(sorted(KPI_TABLES), random.randint(1, 2))))
        if kind == "slice":
            first, last = sorted(random.choices(self._days, k=2))
            return Transform(
                first=date.fromisoformat(first),
                last=date.fromisoformat(last),
                tables=tables,
                fault=fault,
            )
        return Transform(
            planned=kind == "planned", everything=kind == "everything", tables=tables, fault=fault
        )

    def _fault(self, operations: tuple[str, ...], rate: float) -> Fault | None:
        random = self._random
        if random.random() >= rate:
            return None
        return Fault(
            what=random.choice(self._whats),
            operation=random.choice(operations),
            nth=random.choice((0, 0, 0, 1, 2)),
            applied=random.random() < 0.5,
            naps=random.randint(1, 5),
        )
