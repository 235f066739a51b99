"""The numbers of a synthesized template that decide what becomes of a burst."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.unit.infra.templates import Json, Template
from tests.unit.infra.workflows.expressions import evaluate, state


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Numbers of the deployment.

    Attributes:
        window_s: Wait of an execution before it takes a batch; also the window that names it.
        concurrency: Executions that go on at once.
        max_files: Messages of a batch.
        max_rounds: Batches of one execution.
        task_vcpus: Of validation and transformation.
        archive_vcpus: Of the task that moves files.
        first_wait_s, max_wait_s, attempts: Retries of RunTask where there is no capacity.
        schedule_s: Time between scheduled executions.
        visibility_s: Time that messages wait for the next task.
        max_receives: Receives after which a message is a dead letter.
        retention_s: Life of a message.
        providers: Capacity provider of the first attempt, and of each later one.
        large_vcpus: Of a task on a byte range or a slice of days.
        at_once: Such tasks of one object at once.
        range_bytes: Length of a byte range.
        days_per_slice: Days of a slice.
    """

    window_s: float
    concurrency: int
    max_files: int
    max_rounds: int
    task_vcpus: float
    archive_vcpus: float
    first_wait_s: float
    max_wait_s: float
    attempts: int
    schedule_s: float
    visibility_s: float
    max_receives: int
    retention_s: float
    providers: tuple[str, str]
    large_vcpus: float
    at_once: int
    range_bytes: int
    days_per_slice: int


def numbers(template: Template) -> Numbers:
    """Read the numbers of a template."""
    validate = state(template, "batches", "Validate")
    archive = state(template, "batches", "Archive")
    (override,) = validate["Arguments"]["Overrides"]["ContainerOverrides"]
    words = override["Command"]
    (retry,) = [r for r in validate["Retry"] if "ECS.AmazonECSException" in r["ErrorEquals"]]
    queue = template.named("UploadsQueue", "AWS::SQS::Queue")
    schedule = template.named("BatchesSchedule", "AWS::Scheduler::Schedule")
    minutes = re.fullmatch(r"rate\((\d+) minutes\)", schedule["ScheduleExpression"])
    assert minutes
    return Numbers(
        window_s=state(template, "batches", "Window")["Seconds"],
        concurrency=_number(state(template, "batches", "HasRoom")),
        max_files=int(words[words.index("--max-files") + 1]),
        max_rounds=_number(state(template, "batches", "IsLong")),
        task_vcpus=_vcpus(validate),
        archive_vcpus=_vcpus(archive),
        first_wait_s=retry["IntervalSeconds"],
        max_wait_s=retry["MaxDelaySeconds"],
        attempts=retry["MaxAttempts"],
        schedule_s=60 * int(minutes[1]),
        visibility_s=queue["VisibilityTimeout"],
        max_receives=queue["RedrivePolicy"]["maxReceiveCount"],
        retention_s=queue["MessageRetentionPeriod"],
        providers=(_provider(validate, retries=0), _provider(validate, retries=1)),
        large_vcpus=_vcpus(state(template, "ingest", "ValidateRange")),
        at_once=state(template, "ingest", "ValidateRanges")["MaxConcurrency"],
        range_bytes=int(_word(template, "PlanRanges", "--split-bytes")),
        days_per_slice=int(_word(template, "PlanDays", "--days")),
    )


def _provider(task: Json, *, retries: int) -> str:
    """Return where a task runs at the first attempt, or after a RunTask that was refused."""
    (found,) = task["Arguments"]["CapacityProviderStrategy"]
    context = {"State": {"RetryCount": retries}}
    provider: str = evaluate(found["CapacityProvider"], input={}, context=context)
    return provider


def _word(template: Template, name: str, option: str) -> str:
    (override,) = state(template, "ingest", name)["Arguments"]["Overrides"]["ContainerOverrides"]
    words: list[str] = override["Command"]
    return words[words.index(option) + 1]


def _number(choice: Json) -> int:
    """Return the number that the first rule of a Choice compares with."""
    found = re.search(r">= (\d+)", choice["Choices"][0]["Condition"])
    assert found
    return int(found[1])


def _vcpus(task: Json) -> float:
    return int(evaluate(task["Arguments"]["Overrides"]["Cpu"], input={})) / 1024
