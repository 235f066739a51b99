"""Rules match the events that they are meant for: EventBridge's matching, by the emulator."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.cloud.deployment import Deployment
from tests.e2e.cloud.running import Cloud
from tests.unit.infra.templates import resolve

CLUSTER = "arn:aws:ecs:us-east-1:123456789012:cluster/shopkpi"


@pytest.fixture(scope="module")
def failed_task(cloud: Cloud) -> dict[str, Any]:
    """Pattern of the rule that counts failed tasks, with the ARN of a cluster put in."""
    (rule,) = [
        one
        for name, one in json.loads(cloud.template)["Resources"].items()
        if name.startswith("AlarmsBadExit")
    ]
    pattern: dict[str, Any] = resolve(rule["Properties"]["EventPattern"])
    return {**pattern, "detail": {**pattern["detail"], "clusterArn": [CLUSTER]}}


def matches(cloud: Cloud, pattern: dict[str, Any], detail: dict[str, Any]) -> bool:
    events = Deployment(cloud.emulator, "none", cloud.home).client("events")
    event = {
        "id": "1",
        "account": "123456789012",
        "source": "aws.ecs",
        "time": "2026-11-30T00:00:00Z",
        "region": "us-east-1",
        "resources": [],
        "detail-type": "ECS Task State Change",
        "detail": {"clusterArn": CLUSTER, "lastStatus": "STOPPED", **detail},
    }
    result: bool = events.test_event_pattern(
        EventPattern=json.dumps(pattern), Event=json.dumps(event)
    )["Result"]
    return result


@pytest.mark.parametrize(
    ("stop_code", "exit_code", "expected"),
    [
        ("EssentialContainerExited", 0, False),
        ("EssentialContainerExited", 1, True),
        ("EssentialContainerExited", 3, True),
        ("EssentialContainerExited", 5, False),
        ("EssentialContainerExited", 137, True),
        ("TaskFailedToStart", None, True),
        ("SpotInterruption", 1, False),
        ("SpotInterruption", 143, False),
        ("ServiceSchedulerInitiated", 0, False),
        ("UserInitiated", 143, True),
    ],
)
def test_failed_tasks_match(
    cloud: Cloud,
    failed_task: dict[str, Any],
    stop_code: str,
    exit_code: int | None,
    expected: bool,
) -> None:
    container = (
        {"name": "worker"} if exit_code is None else {"name": "worker", "exitCode": exit_code}
    )
    detail = {"stopCode": stop_code, "containers": [container]}
    assert matches(cloud, failed_task, detail) is expected


def test_tasks_of_other_clusters_do_not_match(cloud: Cloud, failed_task: dict[str, Any]) -> None:
    detail = {"stopCode": "TaskFailedToStart", "containers": [], "clusterArn": f"{CLUSTER}-other"}
    assert matches(cloud, failed_task, detail) is False


def test_running_tasks_do_not_match(cloud: Cloud, failed_task: dict[str, Any]) -> None:
    detail = {"stopCode": "TaskFailedToStart", "containers": [], "lastStatus": "RUNNING"}
    assert matches(cloud, failed_task, detail) is False
