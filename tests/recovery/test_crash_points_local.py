"""Local runs that end at every file operation and SQLite statement, or meet an error there.

Each *point* is one operation of a run (see `operations`) and one thing that happens there:

- The process is killed before it. The next one finds what the operations so far have left.
- The power fails before it. All that was not synced is lost (see `disk`).
- The operation fails, as on a full disk (ENOSPC), a broken one (EIO) or without permission
  (EACCES). It fails alone, or with all later ones that need the same (see `operations.Strike`). The
  command says so in a sentence and exits with 1, or does without.

Then the command that ended so, and those after it, are run again. Clean files (byte by byte),
rejects, ledger and KPI tables are those of an undisturbed run. Points that leave the same files and
tables behind share one such second run.

A third of the kills is tried each time, and one of 36 errors: every sixth operation fails. The kind
of error changes from one to the next; lasting and single ones change after every three. Of erasures
it is a sixth of these, and of scenes with a contract of language 2 less still, see `PLAYS`.
SHOPKPI_EVERY_POINT=1 tries all.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from kpi.contract.loading import built_in
from tests.recovery import operations, shop
from tests.recovery.operations import (
    FAILED,
    KILLED,
    POWER,
    UPLOADS,
    Moment,
    Operation,
    Outcome,
    Strike,
)
from tests.recovery.outcome import Held, look, result
from tests.recovery.shop import LANGUAGE_1, Shop
from tests.recovery.shop_of_language_2 import LANGUAGE_2
from tests.recovery.summary import tried
from tests.support import shops
from worker.index import compaction, key_index
from worker.index.levels import Levels
from worker.maintenance import collection
from worker.transform.limits import DEFAULT_LIMITS

KPIS = ("--kpis", "order,category,product")
JSON = ("--format", "json")
PARTS = 4
EVERY_POINT = os.environ.get("SHOPKPI_EVERY_POINT") == "1"

Step = Callable[[], Sequence[str]]


def update_arrives(root: Path, of: Shop) -> list[Step]:
    """Do a first run, then one that finds an update."""

    def later() -> tuple[str, ...]:
        shop.write_files(root / UPLOADS, of.later, second=100)
        return ("run", "shop", *JSON, *KPIS)

    first = ("run", "shop", *contract_of(root, of), *JSON, *KPIS)
    return [lambda: first, later]


def many_tasks(root: Path, of: Shop) -> list[Step]:
    """Split a large file as in the cloud: ranges, batches of days, and raw files moved."""
    items = of.first["order_items/1.csv"]
    middle = items.index(b"\n", len(items) // 2) + 1
    shop.write_files(root / UPLOADS, of.later, second=100)
    commands = [
        ("validate", "shop/order_items/1.csv", "--range", f"{middle}-{len(items)}", *JSON),
        ("validate", "shop/order_items/1.csv", "--range", f"0-{middle}", *JSON),
        ("validate", "shop/products", "shop/orders", *JSON),
        ("transform", "--to", "2025-03-02", *JSON, *KPIS),
        ("transform", *JSON, *KPIS),
        ("archive", "shop/orders/refused.csv", "--to", "moved"),
    ]
    return [partial(tuple, command) for command in commands]


def uploads_are_retracted(root: Path, of: Shop) -> list[Step]:
    """An update and the products are taken out of the KPIs, the products are put back."""
    shop.write_files(root / UPLOADS, of.later, second=100)
    commands = [
        ("run", "shop", *contract_of(root, of), *JSON, *KPIS),
        ("retract", of.orders, "products/1.csv", "--reason", "test", *JSON, *KPIS),
        ("restore", "products/1.csv", *JSON, *KPIS),
    ]
    return [partial(tuple, command) for command in commands]


def a_contract_is_adopted(root: Path, of: Shop) -> list[Step]:
    """Another contract comes into force: every file is validated again, one was moved before."""
    shop.write_files(root / UPLOADS, of.later, second=100)
    commands = [
        ("run", "shop", *JSON, *KPIS),
        ("archive", "shop/orders/1.csv", "--to", "moved"),
        ("contract", "adopt", "string-ids", "--raw", "moved", *JSON),
    ]
    return [partial(tuple, command) for command in commands]


def languages_are_adopted(root: Path, of: Shop) -> list[Step]:
    """A contract of language 2 takes the files of one of language 1, and makes way for it again."""
    shop.write_files(root / UPLOADS, of.later, second=100)
    (root / "two.toml").write_text(LANGUAGE_2.contract or "")

    def customers_come() -> tuple[str, ...]:
        people = {key: data for key, data in LANGUAGE_2.first.items() if key.startswith("people/")}
        shop.write_files(root / UPLOADS, people, second=200)
        return ("run", "shop", *JSON, *KPIS)

    return [
        lambda: ("run", "shop", *JSON, *KPIS),
        lambda: ("contract", "adopt", "two.toml", *JSON),
        customers_come,
        # Language 1 has no place for them.
        lambda: ("retract", "people/1.csv", "--reason", "test", *JSON, *KPIS),
        lambda: ("contract", "adopt", "default", *JSON),
    ]


def files_come_again(root: Path, of: Shop) -> list[Step]:
    """Files replace earlier ones whole: one is touched, one comes with a row less."""
    (root / "whole.toml").write_text(f'replaces = "file"\n{built_in().text}')

    def later() -> tuple[str, ...]:
        items = of.first["order_items/1.csv"].splitlines(keepends=True)
        files = {
            "orders/1.csv": of.first["orders/1.csv"],
            "order_items/1.csv": b"".join(items[:-5]),
        }
        shop.write_files(root / UPLOADS, files, second=100)
        return ("run", "shop", *JSON, *KPIS)

    return [lambda: ("run", "shop", "--contract", "whole.toml", *JSON, *KPIS), later]


def customers_are_erased(root: Path, of: Shop) -> list[Step]:
    """One customer gets a pseudonym, the rows of another are deleted, in raw files too."""
    shop.write_files(root / UPLOADS, of.later, second=100)
    raw = ("--raw", "shop", "--raw", "moved", *JSON)
    commands = [
        ("run", "shop", *JSON, *KPIS),
        ("archive", "shop/orders/2.csv", "--to", "moved"),
        ("erase-customer", "9", "--pseudonymise", *raw),
        ("erase-customer", "1", "--delete", *raw),
        ("run", "shop", *JSON, *KPIS),  # a rewritten file is the same upload
    ]
    return [partial(tuple, command) for command in commands]


def an_index_is_maintained(root: Path, of: Shop) -> list[Step]:
    """Runs are merged, a checkpoint is written, all of it is built again, twice.

    The last one begins from nothing, so that what the one before has left makes no difference.
    """

    def later() -> tuple[str, ...]:
        shop.write_files(root / UPLOADS, of.later, second=100)
        return ("run", "shop", *JSON, "--kpis", "order,category")

    commands: list[Step] = [
        lambda: ("run", "shop", *JSON, "--kpis", "order,category"),
        later,
        lambda: ("maintain", *JSON),
        lambda: ("maintain", "--rebuild", *JSON, *KPIS),
        lambda: ("maintain", "--rebuild", *JSON, *KPIS),
    ]
    return [partial(_with_index, command) for command in commands]


def _with_index(command: Step) -> Sequence[str]:
    """Have a small shop an index, packs and sums, in the process that calls it."""
    limits = {"unindexed_files": 0, "unpacked_files": 1, "tail_records": 1_000}
    for name, limit in {**limits, "summed_orders": 1, "summed_at_once": 1}.items():
        object.__setattr__(DEFAULT_LIMITS, name, limit)
    key_index.LEVELS = Levels(head=0, merged=0)
    vars(compaction)["LEVEL_FACTOR"] = 1_000
    collection.MIN_AGE = timedelta(days=-1)  # all objects are old
    return command()


def contract_of(root: Path, of: Shop) -> tuple[str, ...]:
    """Write the contract of a shop, and return the option that names it."""
    if of.contract is None:
        return ()
    (root / "shop.toml").write_text(of.contract)
    return ("--contract", "shop.toml")


@dataclass(kw_only=True)
class Scene:
    """A shop, commands that are run on it, and their result.

    Attributes:
        root: Working folder; emptied for each point.
        template: What it has before the commands.
        steps: The commands.
        first: The first command that ends early.
        undisturbed: What the undisturbed run did.
        expected: Its result.
        stride: Of the points one in so many is tried in CI, times that of its test.
        proven: What was left behind by points whose second run ended well, and how far they were.
    """

    root: Path
    template: Path
    steps: list[Step]
    first: int = 0
    stride: int = 1
    undisturbed: Outcome = field(default_factory=Outcome)
    expected: dict[str, object] = field(default_factory=dict)
    proven: set[tuple[int, str]] = field(default_factory=set)

    def begin(self, there: Path | None = None) -> None:
        """Fill the working folder with what was left, or with the uploads."""
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(there or self.template, self.root)

    def held(self) -> Held:
        return look(self.root, ".shopkpi/shopkpi.db")

    def every(self, points: int) -> int:
        """Return of how many points one is tried."""
        if EVERY_POINT:
            return 1
        return self.stride * points

    def moments(self, kind: str) -> list[Moment]:
        """Return the moments at which a command that is tried may end."""
        found = self.undisturbed.moments
        return [one for one in found if one.kind == kind and one.step >= self.first]

    def operations(self) -> list[tuple[int, Operation]]:
        """Return the operations of these commands, and the number of each."""
        done = self.undisturbed
        before = min((one.after for one in done.moments if one.step >= self.first), default=0)
        return list(enumerate(done.operations, start=1))[before:]


@dataclass(frozen=True, kw_only=True)
class Play:
    """A scene before it is made.

    Attributes:
        commands: Returns its commands.
        of: The shop.
        first: The first command that ends early: those before are other scenes'.
        stride: See `Scene.stride`.
    """

    commands: Callable[[Path, Shop], list[Step]]
    of: Shop = LANGUAGE_1
    first: int = 0
    stride: int = 1


PLAYS = {
    "update_arrives": Play(commands=update_arrives),
    "many_tasks": Play(commands=many_tasks),
    "uploads_are_retracted": Play(commands=uploads_are_retracted),
    "a_contract_is_adopted": Play(commands=a_contract_is_adopted),
    "files_come_again": Play(commands=files_come_again),
    "an_index_is_maintained": Play(commands=an_index_is_maintained, first=2, stride=72),
    "customers_are_erased": Play(commands=customers_are_erased, first=2, stride=6),
    "update_arrives_in_language_2": Play(commands=update_arrives, of=LANGUAGE_2, stride=24),
    "uploads_are_retracted_in_language_2": Play(
        commands=uploads_are_retracted, of=LANGUAGE_2, stride=48
    ),
    "languages_are_adopted": Play(commands=languages_are_adopted, stride=96),
}


@pytest.fixture(scope="module", params=PLAYS)
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    # In memory where that is possible: thousands of folders are made and removed.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory, prefix="shopkpi-") as folder:
        yield make_scene(Path(folder), PLAYS[request.param])


IMPORTED_LATE = (
    *("kpi.kernels.key_hashing", "worker.cli.adopt", "worker.cli.retract", "worker.cli.run"),
    *("worker.transform.shop.transform", "worker.validate.mapped_validation"),
)
"""Modules that a command imports when it needs them."""


def make_scene(home: Path, play: Play) -> Scene:
    """Run the commands once, without any fault."""
    # What is imported here, no child has to import again.
    for module in IMPORTED_LATE:
        import_module(module)
    warm = shops.Upload("orders", (("1", "1", "shipped", "2025-03-01"),), 0)
    shops.run(home / "warm", shops.write(home / "warm" / "shop", [warm]))
    shop.write_files(home / "template" / UPLOADS, play.of.first, second=0)
    scene = Scene(
        root=home / "root",
        template=home / "template",
        steps=[],
        first=play.first,
        stride=play.stride,
    )
    play.commands(scene.template, play.of)  # what users have uploaded before
    scene.begin()
    scene.steps = play.commands(scene.root, play.of)
    (home / "moments").mkdir()
    scene.undisturbed = operations.run(scene.root, scene.steps, moments=home / "moments")
    assert scene.undisturbed.code == 0, scene.undisturbed.said
    scene.expected = result(scene.held())
    return scene


def test_the_undisturbed_run_does_all_that_is_tested(scene: Scene) -> None:
    # Without looking on, the run is the same.
    scene.begin()
    again = operations.run(scene.root, scene.steps)
    assert again.operations == scene.undisturbed.operations
    held = scene.held()
    assert result(held) == scene.expected
    assert again.outside == []
    assert held.hidden == ()
    names = [one.name for one in again.operations]
    for word in ("fsync", "link", "write", "mkdir", "unlink", "pread", "INSERT", "COMMIT"):
        assert any(word in name for name in names)
    assert len(held.tables["ledger"]) >= 5
    for table in ("order_kpis", "category_kpis", "product_kpis"):
        assert len(held.tables[table]) >= 3
    assert any("rejects/orders" in key for key in held.objects)


@pytest.mark.parametrize("kind", [KILLED, POWER])
def test_a_killed_run_is_run_again(
    scene: Scene, kind: str, record_property: Callable[[str, object], None]
) -> None:
    moments = scene.moments(kind)
    assert len(moments) > 100
    every = scene.every(3)
    for moment in moments[::every]:
        scene.begin(Path(moment.folder))
        # Moments between operations that only read are one.
        run_again(scene, moment.step, f"{kind} after {moment.after} operations")
    tried(record_property, "local", len(scene.operations()) // every)


@pytest.mark.parametrize("part", range(PARTS))
def test_a_failed_run_is_run_again(
    scene: Scene, part: int, record_property: Callable[[str, object], None]
) -> None:
    every = scene.every(6)
    strikes = [
        Strike(at=number, kind=kind, lasting=lasting)
        for number, operation in scene.operations()
        for kind in operation.kinds
        for lasting in (False, True)
        if EVERY_POINT
        or (
            number % every == 0
            and kind == FAILED[number // every % len(FAILED)]
            and lasting == bool(number // every // len(FAILED) % 2)
        )
    ]
    for one in strikes[part::PARTS]:
        strike(scene, one)
    tried(record_property, "local", len(strikes[part::PARTS]))


def strike(scene: Scene, one: Strike) -> None:
    """Make an operation fail."""
    scene.begin()
    struck = operations.run(scene.root, scene.steps, one)
    planned = scene.undisturbed.operations[: one.at]
    what = f"{one.kind} {'from' if one.lasting else 'at'} {one.at}, {planned[-1].name}"
    assert struck.operations[: one.at] == planned, what
    assert struck.outside == [], what
    assert struck.code in {0, 1}, f"{what}: {struck.said}"
    assert "This should not happen" not in struck.said, f"{what}: {struck.said}"
    assert len(struck.said.splitlines()) == struck.code, f"{what}: {struck.said}"
    # What a disk does not let go stays, hidden, until something is written beside it.
    stays = planned[-1].name.startswith("unlink") or (one.lasting and one.kind != "ENOSPC")
    run_again(scene, struck.step, what, may_hide=stays, left_files=left_files(struck))


def left_files(struck: Outcome) -> bool:
    """Whether a run published all files but some that it could not read."""
    events = [json.loads(line) for line in struck.said.splitlines() if line.startswith("{")]
    return any(event["error"].endswith("Left") for event in events)


def run_again(
    scene: Scene, step: int, what: str, *, may_hide: bool = False, left_files: bool = False
) -> None:
    """Run the commands from that one on, over what is left.

    Where files were left, they count as later uploads: each effect says what an upload changed when
    it was published, so that effects may be others then. The first accepted file adopts the
    contract, which may be a later one then. Nothing else may differ.
    """
    left = (step, scene.held().digest)
    if left in scene.proven:
        return
    again = operations.run(scene.root, scene.steps[step:])
    assert again.code == 0, f"{what}: {again.said}"
    held = scene.held()
    found: dict[str, Any] = result(held)
    expected: dict[str, Any] = dict(scene.expected)
    if left_files:
        for one in (found, expected):
            one["effects"] = [source_id for source_id, _ in one["effects"]]
            one["ledger"] = [row for row in one["ledger"] if row[0] != "adoption"]
    assert found == expected, what
    assert held.hidden == () or may_hide, what
    scene.proven.add(left)
