"""Limits of AWS that bind in a burst, each with its source; and times that AWS does not promise."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Quotas and prices of time, of one account in one region.

    `SOURCES` has the place of each. Where regions differ, the lower number is taken.
    """

    vcpus: float = 6.0
    spot_vcpus: float = 0.0
    run_task_per_s: float = 20.0
    launch_burst: float = 100.0
    launch_per_s: float = 20.0
    start_execution_burst: float = 800.0
    start_execution_per_s: float = 150.0
    list_executions_burst: float = 100.0
    list_executions_per_s: float = 2.0
    messages_in_flight: int = 120_000
    receive_messages: int = 10


SOURCES = {
    "vcpus": "Fargate On-Demand vCPU resource count: 6 in each region, new accounts perhaps fewer: "
    "docs.aws.amazon.com/general/latest/gr/ecs-service.html",
    "spot_vcpus": "Spot tasks run on spare capacity, which is promised to nobody; on the careful "
    "side none: docs.aws.amazon.com/AmazonECS/latest/developerguide/"
    "fargate-capacity-providers.html",
    "run_task_per_s": "20 calls of RunTask a second, burst and sustained: "
    "docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html",
    "launch_burst": "100 tasks at once: the same page",
    "launch_per_s": "20 tasks a second: the same page",
    "start_execution_burst": "StartExecution, Standard, bucket of most regions (others 1,300): "
    "docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html",
    "start_execution_per_s": "its refill (others 300): the same page",
    "list_executions_burst": "ListExecutions, bucket of most regions (others 200): the same page",
    "list_executions_per_s": "its refill (others 5): the same page",
    "messages_in_flight": "of a standard queue, about: docs.aws.amazon.com/"
    "AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html",
    "receive_messages": "of one ReceiveMessage: the same page",
}


@dataclass(frozen=True, kw_only=True)
class Times:
    """Times that AWS does not promise, or that the worker takes; on the careful side.

    Attributes:
        event_s: From PutObject to the message, and to the start of an execution.
        start_s: From RunTask to the first line of the worker. No page of AWS says it; the image has
            460 MB unpacked.
        stop_s: From the worker's exit to the next state.
        validate_s: Of one file of 100 KB on one vCPU: 9.4 ms of CPU (`shopkpi validate` of 500
            files on a folder), and some ten requests of 20 ms, four files at once.
        transform_s: Of one file, in a transform of hundreds: 5.6 ms of CPU, and its requests.
        transform_base_s: Of any transform.
        archive_s: Of one file: three requests, sixteen files at once.
        request_s: Of one request of SQS.
        large_lease_s: Longest that a transform of a large object keeps others waiting.
        interrupted: Share of Spot tasks that are interrupted before they have done anything.
        retry_s: Longest wait before a task that died starts again, on demand.
        range_s: Validation of a byte range of a split object; 2 GiB at 3.6 s a GB (COST.md).
        slice_s: Transform of one slice of its days.
    """

    event_s: float = 2.0
    start_s: float = 45.0
    stop_s: float = 10.0
    validate_s: float = 0.06
    transform_s: float = 0.01
    transform_base_s: float = 3.0
    archive_s: float = 0.01
    request_s: float = 0.03
    large_lease_s: float = 180.0
    interrupted: float = 0.0
    retry_s: float = 10.0
    range_s: float = 10.0
    slice_s: float = 20.0


def without_source() -> set[str]:
    """Return the limits that nobody says."""
    return {one.name for one in fields(Limits)} - SOURCES.keys()
