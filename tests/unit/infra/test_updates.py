"""An update from the last release: CloudFormation can do it in place.

`released/` beside this file has the reduced template of each release, with the default settings.
At a release, `SHOPKPI_RELEASED=0.2.0 pytest tests/unit/infra/test_updates.py` writes it.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path

import pytest

from tests.unit.infra.templates import Json, Template
from tests.unit.infra.updates import INDEXES, KINDS, reduce_template, refused_changes

RELEASES = Path(__file__).with_name("released")

INTENDED = {
    # Tables of other keys and other names, which the first transform fills (docs/deploy.md).
    ("TablesOrderKpisF36422A0", "it would be replaced by an empty one"),
    ("TablesCategoryKpis9D4A8EF5", "it would be replaced by an empty one"),
    ("TablesProductKpisDC3E5935", "it would be replaced by an empty one"),
}
"""Refused changes since the last release that were made on purpose; a release empties this."""


def last_release() -> dict[str, Json]:
    newest = max(RELEASES.glob("*.json"), key=lambda path: [int(x) for x in path.stem.split(".")])
    found: dict[str, Json] = json.loads(newest.read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def now(template: Template) -> dict[str, Json]:
    found = reduce_template(template)
    version = os.environ.get("SHOPKPI_RELEASED")
    if version:
        text = json.dumps(found, indent=1, sort_keys=True) + "\n"
        (RELEASES / f"{version}.json").write_text(text, "utf-8")
    return found


def test_the_last_release_is_updated_in_place(now: dict[str, Json]) -> None:
    found = set(refused_changes(last_release(), now))
    assert found == {f"{name}: {what}" for name, what in INTENDED}


def test_a_release_would_be_updated_to_itself(now: dict[str, Json]) -> None:
    assert not list(refused_changes(now, now))


LEDGER, ORDERS, INPUT = "TablesLedgerF9806C8B", "TablesOrderKpisF36422A0", "BucketsInputDC6E7815"
INDEX = {"KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}], "Projection": {"Type": "ALL"}}


def changed(now: dict[str, Json], name: str, **fields: object) -> dict[str, Json]:
    after = copy.deepcopy(now)
    after[name] |= fields
    return after


def test_a_changed_key_is_refused(now: dict[str, Json]) -> None:
    key = [{"AttributeName": "other", "KeyType": "HASH"}]
    found = list(refused_changes(now, changed(now, LEDGER, KeySchema=key)))
    assert any("KeySchema of shopkpi-dev-ledger changes" in one for one in found)


def test_one_index_may_come_or_go_but_not_two(now: dict[str, Json]) -> None:
    indexes = now[ORDERS].get(INDEXES, {})
    one = changed(now, ORDERS, **{INDEXES: {**indexes, "a": INDEX}})
    assert not list(refused_changes(now, one))
    assert not list(refused_changes(one, now))
    two = changed(now, ORDERS, **{INDEXES: {**indexes, "a": INDEX, "b": INDEX}})
    (refused,) = refused_changes(now, two)
    assert "a, b: DynamoDB makes or drops one index" in refused
    swapped = changed(one, ORDERS, **{INDEXES: {**indexes, "b": INDEX}})
    assert list(refused_changes(one, swapped))


def test_an_index_keeps_its_key(now: dict[str, Json]) -> None:
    before = changed(now, LEDGER, **{INDEXES: {"a": INDEX}})
    after = changed(now, LEDGER, **{INDEXES: {"a": {**INDEX, "Projection": {"Type": "KEYS_ONLY"}}}})
    (refused,) = refused_changes(before, after)
    assert "index a changes" in refused


@pytest.mark.parametrize("name", [LEDGER, INPUT])
def test_what_holds_data_keeps_its_logical_id(now: dict[str, Json], name: str) -> None:
    after = {f"Moved{key}" if key == name else key: one for key, one in now.items()}
    found = list(refused_changes(now, after))
    assert any(one.startswith(f"{name}: AWS::") and "is gone" in one for one in found)
    has_name = "name" in now[name]
    assert any("creation comes first" in one for one in found) is has_name


def test_a_named_machine_keeps_its_type(now: dict[str, Json]) -> None:
    (intake,) = (key for key, one in now.items() if one.get("name") == "shopkpi-dev-intake")
    (refused,) = refused_changes(now, changed(now, intake, StateMachineType="STANDARD"))
    assert "StateMachineType of shopkpi-dev-intake changes" in refused


def test_every_named_kind_is_compared(template: Template, full: Template) -> None:
    # A name in one of these is that of a part or a label, which may come twice.
    labels = {
        *("AWS::IAM::Policy", "AWS::Logs::ResourcePolicy", "AWS::Logs::QueryDefinition"),
        *("AWS::Athena::NamedQuery", "AWS::CloudWatch::Alarm", "AWS::Glue::Table"),
        *("AWS::ApplicationAutoScaling::ScalingPolicy", "AWS::ECS::Service", "AWS::Glue::Database"),
    }
    for deployment in (template, full):
        for one in deployment.resources.values():
            kind = one["Type"].rpartition("::")[2]
            names = {"Name", f"{kind}Name"} & set(one.get("Properties", {}))
            assert not names or one["Type"] in {*KINDS, *labels}, one["Type"]
