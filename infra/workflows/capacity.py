"""Errors of RunTask that say "not now": the same call succeeds once there is capacity again.

They are retried for hours: an execution that waits costs nothing, and a message lives for 14 days.
"""

from __future__ import annotations

from collections.abc import Mapping

CAPACITY_ERRORS: Mapping[str, str] = {
    "AmazonECS.Unknown": "a failure of RunTask without an exception (seen in executions)",
    "ECS.AmazonECSException": (
        "capacity is unavailable, or the vCPU quota is used up: "
        "repost.aws/knowledge-center/ecs-fargate-runtask-capacity"
    ),
    "ECS.InvalidParameterException": (
        "ECS was throttled while it looked up subnets or security groups: "
        "github.com/cdklabs/construct-hub, src/backend/orchestration"
    ),
    "ECS.LimitExceededException": (
        "a quota of ECS: docs.aws.amazon.com/AmazonECS/latest/APIReference/CommonErrors.html"
    ),
    "ECS.ServerException": (
        "a fault of ECS: docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html"
    ),
    "ECS.ThrottlingException": (
        "more than 20 calls of RunTask a second: "
        "docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html"
    ),
}
"""Name that Step Functions gives to an error -> what it means, and who says so."""

FIRST_WAIT_S = 5
MAX_WAIT_S = 300
"""Bounds of the wait before a retry, with full jitter: half of that on average. Thousands of
executions that wait ask some 20 times a second, which is what RunTask allows."""

ATTEMPTS = 150
"""Retries: six hours of waits. `ECS.InvalidParameterException` may also mean a mistake in the
template; then the alarm on slow uploads goes off long before."""

NEVER_STARTED = "TaskFailedToStart"
"""Stop code of a task that ECS accepted and could not start; it has no exit code, and is no failure
of the worker."""
