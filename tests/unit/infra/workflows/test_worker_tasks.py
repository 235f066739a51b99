"""Tasks of the worker: which exit codes are retried, when, and on which size of task."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from infra.workflows.capacity import CAPACITY_ERRORS
from tests.unit.infra.templates import Json, Template, states
from tests.unit.infra.workflows.expressions import chosen, evaluate, state
from worker.errors import ConfigError

MIB = 2**20


def cause(code: int | None, stop_code: str = "EssentialContainerExited") -> str:
    """Return the cause that Step Functions gives: the task of DescribeTasks, in its own case."""
    container: Json = {"ContainerArn": "arn:aws:ecs:container", "LastStatus": "STOPPED"}
    if code is not None:
        container["ExitCode"] = code
    return json.dumps({"Containers": [container], "StopCode": stop_code, "StoppedReason": "x"})


def after(template: Template, document: Json, text: str | None, error: str) -> Json:
    """Return the input of the Choice that follows a failed attempt of Validate."""
    catches = state(template, "ingest", "Validate")["Catch"]
    (found,) = [catch for catch in catches if catch["Next"] == "IsValidateRetried"]
    assert error in found["ErrorEquals"]
    output = {"Error": error} if text is None else {"Error": error, "Cause": text}
    result: Json = evaluate(found["Output"], input=document, errorOutput=output)
    return result


def attempts(template: Template, text: str | None, error: str = "States.TaskFailed") -> int:
    """Count the attempts until the Choice leads to the failure states; 50 means endless."""
    document: Json = {"size": MIB, "key": "orders/a.csv"}
    for count in range(1, 50):
        document = after(template, document, text, error)
        if chosen(state(template, "ingest", "IsValidateRetried"), document) == "NotifyFailure":
            return count
    return 50


@pytest.mark.parametrize(
    ("code", "expected"),
    [(1, 4), (2, 1), (3, 4), (5, 50), (137, 4), (143, 4), (None, 4)],
)
def test_exit_code_decides_how_often_a_task_is_retried(
    template: Template, code: int | None, expected: int
) -> None:
    assert attempts(template, cause(code)) == expected


def test_wrong_use_is_the_exit_code_of_the_worker(template: Template) -> None:
    assert attempts(template, cause(ConfigError.exit_code)) == 1


def test_a_timeout_is_retried_once(template: Template) -> None:
    assert attempts(template, None, "States.Timeout") == 2


def test_not_now_uses_up_no_retry_of_a_later_failure(template: Template) -> None:
    document: Json = {"size": MIB, "key": "orders/a.csv"}
    for _ in range(20):
        document = after(template, document, cause(5), "States.TaskFailed")
    assert (document["retries"], document["doublings"]) == (0, 0)
    document = after(template, document, cause(1), "States.TaskFailed")
    assert (document["retries"], document["exit_code"]) == (1, 1)


def test_a_failure_without_exit_code_forgets_the_one_before(template: Template) -> None:
    document = after(template, {"key": "a"}, cause(2), "States.TaskFailed")
    document = after(template, document, cause(None, "TaskFailedToStart"), "States.TaskFailed")
    assert document["exit_code"] == -1
    assert chosen(state(template, "ingest", "IsValidateRetried"), document) == "WaitForValidate"


def test_waits_grow_and_not_now_waits_five_minutes(template: Template) -> None:
    wait = state(template, "ingest", "WaitForValidate")
    assert wait["Next"] == "Validate"
    for retries, longest in ((1, 10), (2, 20), (3, 40), (9, 300)):
        drawn = [
            evaluate(wait["Seconds"], input={"exit_code": 1, "retries": retries})
            for _ in range(200)
        ]
        assert all(0 <= seconds <= longest and seconds == int(seconds) for seconds in drawn)
        assert max(drawn) > longest / 2
        assert len(set(drawn)) > 5
    assert evaluate(wait["Seconds"], input={"exit_code": 5, "retries": 0}) == 300


def sizes(template: Template, name: str, document: Json) -> tuple[str, str]:
    overrides = state(template, "ingest", name)["Arguments"]["Overrides"]
    return (
        evaluate(overrides["Cpu"], input=document),
        evaluate(overrides["Memory"], input=document),
    )


@pytest.mark.parametrize(
    ("mib", "expected"),
    [
        (65, ["2048", "4096", "8192", "16384"]),
        (1025, ["4096", "8192", "16384", "16384"]),
    ],
)
def test_each_retry_runs_on_a_larger_task(
    template: Template, mib: int, expected: list[str]
) -> None:
    document: Json = {"size": mib * MIB, "key": "orders/a.csv"}
    found = []
    for _ in range(4):
        cpu, memory = sizes(template, "Validate", document)
        assert int(memory) == 2 * int(cpu)
        found.append(cpu)
        document = after(template, document, cause(137), "States.TaskFailed")
    assert found == expected


def test_a_spot_interruption_changes_no_size(template: Template) -> None:
    document = after(
        template,
        {"size": MIB, "key": "orders/a"},
        cause(1, "SpotInterruption"),
        "States.TaskFailed",
    )
    assert (document["retries"], document["doublings"]) == (1, 0)
    assert sizes(template, "Validate", document)[0] == "2048"


def test_success_starts_the_next_task_at_its_own_size(template: Template) -> None:
    document: Json = {"size": MIB, "key": "orders/a", "retries": 3, "doublings": 3}
    output = evaluate(state(template, "ingest", "Validate")["Output"], input=document)
    assert sizes(template, "Transform", output)[0] == "2048"
    assert output["retries"] == 0


def test_a_task_that_never_started_is_no_failure_of_the_worker(template: Template) -> None:
    text = cause(None, "TaskFailedToStart")
    assert attempts(template, text) == 50
    document = after(template, {"size": MIB, "key": "a"}, text, "States.TaskFailed")
    assert (document["retries"], document["doublings"]) == (0, 0)
    wait = state(template, "ingest", "WaitForValidate")["Seconds"]
    drawn = [evaluate(wait, input=document) for _ in range(100)]
    assert 150 < max(drawn) <= 300


def test_a_task_waits_for_capacity_for_hours(template: Template, full: Template) -> None:
    for deployment in (template, full):
        for machine in ("batches", "ingest"):
            for name, one, _ in run_tasks(deployment, machine):
                (rule,) = [r for r in one["Retry"] if "ECS.AmazonECSException" in r["ErrorEquals"]]
                assert set(rule["ErrorEquals"]) == set(CAPACITY_ERRORS), name
                # Full jitter: half of the longest wait on average.
                assert rule["MaxAttempts"] * rule["MaxDelaySeconds"] / 2 >= 6 * 3600
    assert {"ECS.InvalidParameterException", "ECS.ThrottlingException"} <= set(CAPACITY_ERRORS)


def run_tasks(template: Template, machine: str = "ingest") -> Iterator[tuple[str, Json, bool]]:
    for name, one, is_in_map in states(template.definitions[machine]):
        if one.get("Resource", "").endswith("ecs:runTask.sync"):
            yield name, one, is_in_map


def test_every_task_is_followed_by_its_own_retry(template: Template, full: Template) -> None:
    count = 0
    for deployment in (template, full):
        for name, one, is_in_map in run_tasks(deployment):
            final, again, last = one["Catch"]
            assert again["Next"] == f"Is{name}Retried"
            assert "States.TaskFailed" not in {
                e for rule in one["Retry"] for e in rule["ErrorEquals"]
            }
            choice = state(deployment, "ingest", f"Is{name}Retried")
            (rule,) = choice["Choices"]
            assert state(deployment, "ingest", rule["Next"])["Next"] == name
            failed = f"{name}Failed" if is_in_map else "NotifyFailure"
            assert final["Next"] == last["Next"] == choice["Default"] == failed
            count += 1
    assert count == 18


def test_spot_comes_first_and_retries_are_on_demand(template: Template) -> None:
    for name, one, _ in run_tasks(template):
        (strategy,) = one["Arguments"]["CapacityProviderStrategy"]
        providers = [
            evaluate(
                strategy["CapacityProvider"],
                context={"State": {"RetryCount": count}},
                input=document,
            )
            for count, document in ((0, {}), (0, {"retries": 0}), (1, {}), (0, {"retries": 1}))
        ]
        (overrides,) = one["Arguments"]["Overrides"]["ContainerOverrides"]
        (variable,) = overrides["Environment"]
        assert variable["Name"] == "SHOPKPI_EXECUTION", name
        assert (
            evaluate(variable["Value"], context={"Execution": {"Name": "window-1"}}) == "window-1"
        )
        assert providers == ["FARGATE_SPOT", "FARGATE_SPOT", "FARGATE", "FARGATE"], name
        network = one["Arguments"]["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert network["AssignPublicIp"] == "ENABLED", name
