"""Sweep: its schedule and the objects that it starts."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click
import pytest

from tests.unit.infra.templates import Json, Template
from tests.unit.infra.workflows.expressions import chosen, evaluate, state
from worker.cli.audit import audit as audit_command


def test_sweep_audit_and_maintenance_run_on_a_schedule(template: Template, full: Template) -> None:
    sweep = template.named("SweepSchedule", "AWS::Scheduler::Schedule")
    assert sweep["ScheduleExpression"] == "rate(15 minutes)"
    assert json.loads(sweep["Target"]["Input"]) == {"again": ""}
    assert len(template.of_type("AWS::Scheduler::Schedule")) == 4
    audit = full.named("AuditSchedule", "AWS::Scheduler::Schedule")
    assert audit["ScheduleExpression"] == "cron(0 4 * * ? *)"
    task = full.named("ComputeAudit", "AWS::ECS::TaskDefinition")
    (container,) = task["ContainerDefinitions"]
    assert container["Command"] == ["audit", "--sample", "7", "--during-uploads"]
    assert audit_command.parse_args(click.Context(audit_command), container["Command"][1:]) == []
    writes = {a for a, _ in full.rights("ComputeAuditRole") if "Put" in a or "Delete" in a}
    assert not writes
    maintain = template.named("MaintainSchedule", "AWS::Scheduler::Schedule")
    assert maintain["ScheduleExpression"] == "cron(30 3 * * ? *)"
    task = template.named("ComputeMaintain", "AWS::ECS::TaskDefinition")
    (container,) = task["ContainerDefinitions"]
    assert container["Command"] == ["maintain"]


@pytest.mark.parametrize(
    ("key", "age_s", "next_"),
    [
        ("orders/a.csv", 310, "ReportAge"),
        ("orders/a.csv", 290, "Recent"),
        ("elsewhere/a.csv", 7300, "Recent"),
        ("orders/_SUCCESS", 7300, "Recent"),
    ],
)
def test_the_sweep_starts_old_objects_of_datasets(
    template: Template, key: str, age_s: int, next_: str
) -> None:
    document = {"key": key, "modified": int(datetime.now(UTC).timestamp()) - age_s}
    assert chosen(state(template, "sweep", "IsLeftBehind"), document) == next_


HOUR_S = 3600


@pytest.mark.parametrize(
    ("age_s", "by_hand", "suffix"),
    [
        # An execution may run for 12 hours, by default; one hour of margin comes on top.
        (10 * 60, "", ""),
        (13 * HOUR_S - 60, "", ""),
        (13 * HOUR_S + 60, "", "retry-1"),
        (26 * HOUR_S - 60, "", "retry-1"),
        (26 * HOUR_S + 60, "", "retry-2"),
        (10 * 60, "by-hand", "by-hand"),
        (40 * HOUR_S, "by-hand", "by-hand"),
    ],
)
def test_the_age_decides_which_execution_is_meant(
    template: Template, age_s: int, by_hand: str, suffix: str
) -> None:
    document = {
        "key": "orders/a.csv",
        "modified": datetime.now(UTC).timestamp() - age_s,
        "again": by_hand,
    }
    given = state(template, "sweep", "StartIntake")["Arguments"]["Input"]
    assert evaluate(given["again"], input=document) == suffix


def test_a_retry_begins_after_the_longest_execution(template: Template, full: Template) -> None:
    for deployment in (template, full):
        longest_s = deployment.definitions["ingest"]["TimeoutSeconds"]
        given = state(deployment, "sweep", "StartIntake")["Arguments"]["Input"]
        document = {"modified": datetime.now(UTC).timestamp() - longest_s - 1800, "again": ""}
        assert evaluate(given["again"], input=document) == ""


@pytest.mark.parametrize(("again", "name"), [("", "abc"), ("retry-1", "abc-retry-1")])
def test_the_suffix_becomes_part_of_the_name(template: Template, again: str, name: str) -> None:
    listed = {"detail": {"bucket": {"name": "b"}, "object": {"key": "orders/a"}}, "again": again}
    head = {"ContentLength": 7, "VersionId": "v2"}
    output = state(template, "intake", "CurrentVersion")["Output"]
    document = {**evaluate(output, input=listed, result=head), "source_id": "abc"}
    assert (
        evaluate(state(template, "intake", "StartIngest")["Arguments"]["Name"], input=document)
        == name
    )


@pytest.mark.parametrize(
    ("listed", "next_"),
    [({}, "Swept"), ({"Contents": []}, "Swept"), ({"Contents": [{"Key": "a"}]}, "CountMessages")],
)
def test_an_empty_bucket_is_not_mapped_over(template: Template, listed: Json, next_: str) -> None:
    definition = template.definitions["sweep"]
    listing = definition["States"][definition["StartAt"]]
    assert listing["Arguments"] == {"Bucket": "BucketsInputDC6E7815", "MaxKeys": 1}
    output = evaluate(listing["Output"], input={"again": ""}, result=listed)
    assert output["again"] == ""
    assert chosen(definition["States"][listing["Next"]], output) == next_


@pytest.mark.parametrize(
    ("mib", "queued", "age_s", "again", "next_"),
    [
        (1, 0, 600, "", "StartIntake"),
        (1, 1, 600, "", "Queued"),  # it may be that message
        (1, 0, 2 * HOUR_S, "", "Queued"),  # it may be a dead letter
        (1, 0, 24 * HOUR_S + 600, "", "StartIntake"),
        (1, 1, 2 * HOUR_S, "by-hand", "StartIntake"),
        (65, 1, 2 * HOUR_S, "", "StartIntake"),  # its execution has a name
    ],
)
def test_the_sweep_skips_what_may_be_in_the_queue(
    template: Template, mib: int, queued: int, age_s: int, again: str, next_: str
) -> None:
    document = {
        "size": mib * 2**20,
        "queued": queued,
        "again": again,
        "modified": datetime.now(UTC).timestamp() - age_s,
    }
    assert chosen(state(template, "sweep", "MayBeQueued"), document) == next_


def test_every_sweep_lists_all_objects_with_its_suffix(template: Template) -> None:
    objects = state(template, "sweep", "Objects")
    assert objects["ItemSelector"]["again.$"] == "$.again"
    schedule = template.named("SweepSchedule", "AWS::Scheduler::Schedule")
    assert "again" in json.loads(schedule["Target"]["Input"])
