"""Saved queries of Logs Insights ask for events and fields that the worker logs."""

from __future__ import annotations

import re

import pytest

from infra.monitoring.dashboard import FOLLOW, QUERIES
from tests.unit.infra.templates import ROOT, Template

WORKER = "\n".join(path.read_text("utf-8") for path in (ROOT / "worker").rglob("*.py"))


@pytest.mark.parametrize("name", QUERIES)
def test_every_event_of_a_query_is_logged(name: str) -> None:
    for event in re.findall(r'"(\w+\.\w+)"', QUERIES[name]):
        assert f'"{event}"' in WORKER, event


def test_a_query_finds_the_errors_of_commands_and_jobs() -> None:
    found = re.findall(r'"(\w+\.failed)"', QUERIES["errors by source"])
    assert set(found) == {"command.failed", "job.failed"}


def test_queries_are_saved_over_the_log_group_of_the_tasks(template: Template) -> None:
    saved = template.of_type("AWS::Logs::QueryDefinition").values()
    assert {one["Properties"]["QueryString"] for one in saved} == set(QUERIES.values())
    for one in saved:
        groups = [group["Ref"][:-8] for group in one["Properties"]["LogGroupNames"]]
        follows = one["Properties"]["QueryString"] == QUERIES[FOLLOW]
        assert groups == ["ComputeLogs", *(["Executions"] if follows else [])]
