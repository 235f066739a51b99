"""The stores that release 0.1.0 has left open, and give the rows that it printed."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from kpi.aggregation.tables import KPI_TABLES
from tests.migration.stored import Stored
from tests.support.commands import shopkpi
from tests.support.emulators import Emulator, unique_name
from worker.cli.query import TABLES
from worker.state import Effect
from worker.state.dynamodb.progress import STOPS_FORMER

RELEASE = Path(__file__).parent / "v0_1_0"
NAMES = ["default", "slips", "spoilt", "string-ids", "uuid-ids"]
SINCE_THE_RELEASE = ("content", "effect")
"""Members of a receipt that the release did not print."""

RELEASE_BYTES = 10**6
"""What the data of one release may take of the repository."""


@pytest.fixture(params=NAMES)
def stored(request: pytest.FixtureRequest) -> Stored:
    return Stored(RELEASE / str(request.param))


def observed(stored: Stored, home: Path, **environment: str) -> dict[str, Any]:
    """KPI rows, receipts, rejects and the verdict of an audit, in the form of `expected.json`."""
    environment["SHOPKPI_CONTRACT"] = stored.history["contract"]

    def printed(*arguments: str) -> Any:
        return shopkpi(home, *arguments, "--format", "json", **environment).json

    def rows(table: str) -> Any:
        """Rows of a table; one that was never published was empty in the release."""
        found = shopkpi(home, "query", table, "--format", "json", **environment)
        if "was never published" in found.err:
            return []
        known = KPI_TABLES[TABLES[table]].attributes  # the release had no others
        return [{name: row[name] for name in known} for row in found.json]

    audit = shopkpi(home, "audit", "--kpis", stored.history["tables"], **environment)
    ledger = printed("ledger")
    for receipt in ledger:
        for name in ("seconds", *SINCE_THE_RELEASE):
            receipt.pop(name, None)
    return {
        "queries": {name: rows(name) for name in ("orders", "category", "product")},
        # The release did not say whether tables are behind the ledger.
        "audit_exit_code": 0 if "behind the ledger" in audit.err else audit.code,
        "ledger": ledger,
        "rejects": {
            str(one["sequence"]): printed("rejects", one["source_id"])
            for one in ledger
            if one["rows_rejected"]
        },
    }


def without_places(observation: dict[str, Any]) -> dict[str, Any]:
    """The same without what differs between a folder and a bucket."""
    places = ("source_id", "url", "version", "uploaded_at")
    ledger = [
        {name: value for name, value in one.items() if name not in places}
        for one in observation["ledger"]
    ]
    return {**observation, "ledger": ledger}


def without_effects(observation: dict[str, Any]) -> dict[str, Any]:
    """The same without what the first transform that included a source saw, too."""
    observation = without_places(observation)
    effects = {field.name for field in fields(Effect)}
    ledger = [
        {name: value for name, value in one.items() if name not in effects}
        for one in observation["ledger"]
    ]
    return {**observation, "ledger": ledger}


def test_every_history_is_tested_and_together_they_are_small() -> None:
    assert sorted(path.parent.name for path in RELEASE.glob("*/history.json")) == NAMES
    files = [path for path in RELEASE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert 0 < sum(path.stat().st_size for path in files) < RELEASE_BYTES


def test_a_workspace_of_the_release_gives_its_rows(stored: Stored, tmp_path: Path) -> None:
    stored.unpack_workspace(tmp_path / ".shopkpi")
    expected = stored.expected
    del expected["recomputed"]
    assert observed(stored, tmp_path) == expected


def test_a_workspace_of_the_release_is_recomputed(stored: Stored, tmp_path: Path) -> None:
    stored.unpack_workspace(tmp_path / ".shopkpi")
    contract, tables = stored.history["contract"], stored.history["tables"]
    everything = ("transform", "--all", "--kpis", tables, "--contract", contract)
    done = shopkpi(tmp_path, *everything)
    if stored.folder.name == "spoilt":
        assert done.code == 2
        assert "tuesday.csv" in done.err
        assert "another contract" in done.err
    else:
        assert done.code == 0, done.err
        assert observed(stored, tmp_path)["queries"] == stored.expected["recomputed"]


FIELDS_OF_RELEASE = {"published", "waiting", "waiting_as_of"}
"""Fields of its progress record: with any other, a transform of the release ends with an error."""


@pytest.mark.parametrize("server", ["moto", "ministack"])
def test_tables_of_the_release_give_its_rows(
    stored: Stored, server: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    emulator = request.getfixturevalue(server)
    assert isinstance(emulator, Emulator)
    prefix, bucket = unique_name("v010"), unique_name("v010")
    stored.load_tables(emulator, prefix)
    stored.load_objects(emulator, bucket, tmp_path / "objects")
    stores = {
        "SHOPKPI_STATE": f"dynamodb://{prefix}",
        "SHOPKPI_WORKSPACE": f"s3://{bucket}",
        **emulator.environment,
    }
    assert shopkpi(tmp_path, "tables", "create", **stores).code == 0
    contract = stored.history["contract"]
    early = shopkpi(tmp_path, "query", "orders", "--contract", contract, **stores)
    assert (early.code, "`shopkpi transform`" in early.err) == (5, True), early.err
    # The tables that were switched on stay on.
    done = shopkpi(tmp_path, "transform", "--contract", contract, **stores)
    if stored.folder.name == "spoilt":
        assert done.code == 2
        return
    assert done.code == 0, done.err
    assert stored.progress_record(emulator, prefix).keys() - FIELDS_OF_RELEASE == {STOPS_FORMER}
    found = observed(stored, tmp_path, **stores)
    expected = stored.expected
    recomputed = expected.pop("recomputed")
    # The KPI tables of this format are filled from the ledger, as of its head.
    assert without_effects(found) == without_effects(
        {**expected, "queries": recomputed, "audit_exit_code": 0}
    )


def test_the_bytes_of_an_old_file_undo_no_correction(tmp_path: Path) -> None:
    """Release 0.1.0 let them: its rows have the four corrected orders on their first day again."""
    stored = Stored(RELEASE / "slips")
    for step in range(len(stored.history["steps"])):
        stored.upload(step, tmp_path / "shop")
        done = shopkpi(tmp_path, "run", "shop", "--kpis", stored.history["tables"])
        assert done.code == 0, done.err
    rows = [
        observed(stored, tmp_path)["queries"]["orders"],
        stored.expected["recomputed"]["orders"],
    ]
    orders = [[row["total_orders"] for row in of_release] for of_release in rows]
    assert orders == [[5, 8, 16], [9, 8, 12]]


@pytest.mark.parametrize("name", ["default", "string-ids", "uuid-ids"])
def test_the_inputs_give_the_recomputed_rows(name: str, tmp_path: Path) -> None:
    stored = Stored(RELEASE / name)
    history = stored.history
    for step in range(len(history["steps"])):
        stored.upload(step, tmp_path / "shop")
        options = ("--contract", history["contract"], "--kpis", history["tables"])
        done = shopkpi(tmp_path, "run", "shop", *options)
        assert done.code == 0, done.err
    assert observed(stored, tmp_path)["queries"] == stored.expected["recomputed"]


def test_the_spoilt_workspace_becomes_usable(tmp_path: Path) -> None:
    """The file of the wrong contract is taken out, and comes again under another name."""
    stored = Stored(RELEASE / "spoilt")
    spoilt, alone = tmp_path / "spoilt", tmp_path / "alone"
    stored.unpack_workspace(spoilt / ".shopkpi")
    refused = shopkpi(spoilt, "transform")
    assert refused.code == 2
    command = ("retract", "orders/tuesday.csv", "--reason", "wrong contract")
    assert f"`shopkpi {command[0]} {command[1]} --reason" in refused.err
    assert shopkpi(spoilt, *command).code == 0
    assert shopkpi(spoilt, "audit").code == 0
    for step in range(len(stored.history["steps"])):
        stored.upload(step, alone / "shop")
    (spoilt / "shop" / "orders").mkdir(parents=True)
    tuesday = (alone / "shop" / "orders" / "tuesday.csv").read_bytes()
    (spoilt / "shop" / "orders" / "tuesday-again.csv").write_bytes(tuesday)
    for home in (spoilt, alone):
        done = shopkpi(home, "run", "shop")
        assert done.code == 0, done.err
    rows = [
        [
            {**row, "as_of": 0, "published_at": ""}
            for row in shopkpi(home, "query", "orders", "--format", "json").json
        ]
        for home in (spoilt, alone)
    ]
    assert rows[0] == rows[1]
    assert shopkpi(spoilt, "audit").code == 0
