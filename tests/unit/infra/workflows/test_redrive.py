"""Sweep: its schedule and the objects that it starts."""

from __future__ import annotations

import json

import click

from tests.unit.infra.templates import Template
from worker.cli.audit import audit as audit_command


def test_sweep_and_audit_run_on_a_schedule(template: Template, full: Template) -> None:
    sweep = template.named("SweepSchedule", "AWS::Scheduler::Schedule")
    assert sweep["ScheduleExpression"] == "cron(0 3 * * ? *)"
    assert json.loads(sweep["Target"]["Input"]) == {"again": "<aws.scheduler.execution-id>"}
    assert len(template.of_type("AWS::Scheduler::Schedule")) == 2
    audit = full.named("AuditSchedule", "AWS::Scheduler::Schedule")
    assert audit["ScheduleExpression"] == "cron(0 4 * * ? *)"
    task = full.named("ComputeAudit", "AWS::ECS::TaskDefinition")
    (container,) = task["ContainerDefinitions"]
    assert container["Command"] == ["audit", "--sample", "7"]
    assert audit_command.parse_args(click.Context(audit_command), container["Command"][1:]) == []
    writes = {a for a, _ in full.rights("ComputeAuditRole") if "Put" in a or "Delete" in a}
    assert not writes
