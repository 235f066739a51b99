"""Building blocks of the state machines: tasks with timeout, retry and catch.

States are written in JSONata. Distributed Maps are the exception: their item readers are JSONPath,
which both Step Functions and the emulator of the tests understand. One JSON object flows from state
to state. A state adds fields to it or passes it on, and never replaces it by a service's response.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from kpi.contract.marker_names import MARKER_NAMES

UNCHANGED = "{% $states.input %}"
URL = "{% $states.input.url %}"
VERSION_ID = "{% $states.input.version_id %}"
SOURCE_ID = "{% $states.input.source_id %}"
FAILURE = "{% $merge([$states.input, {'failure': $states.errorOutput}]) %}"


def adding(fields: str) -> str:
    """Return the output of a state: its input and `fields`, the body of a JSONata object."""
    return f"{{% $merge([$states.input, {{{fields}}}]) %}}"


def when(expression: str) -> sfn.Condition:
    """Return the condition of a choice from a JSONata expression."""
    return sfn.Condition.jsonata(f"{{% {expression} %}}")


def retry(
    state: tasks.EcsRunTask | sfn.TaskStateBase | sfn.DistributedMap,
    *,
    errors: Sequence[str],
    first_s: int,
    attempts: int,
    longest_s: int = 300,
) -> None:
    """Retry after at most first_s, 2 first_s, 4 first_s, ... seconds, with full jitter."""
    state.add_retry(
        errors=list(errors),
        interval=Duration.seconds(first_s),
        max_attempts=attempts,
        backoff_rate=2,
        max_delay=Duration.seconds(longest_s),
        jitter_strategy=sfn.JitterType.FULL,
    )


def never_retry(state: tasks.EcsRunTask | sfn.TaskStateBase, *errors: str) -> None:
    """Exclude errors that would only recur; call it before any retry of States.ALL."""
    state.add_retry(errors=list(errors), max_attempts=0)


def retry_call(state: sfn.TaskStateBase, *, final: Sequence[str] = ()) -> None:
    """Retry a short call of an AWS service on any error but the `final` ones."""
    # A JSONata expression that fails once fails each time.
    never_retry(state, "States.QueryEvaluationError", *final)
    retry(state, errors=["States.ALL"], first_s=1, attempts=5, longest_s=30)


class FailureStates(Construct):
    """States that every Catch leads to: publish the failure, then fail.

    Attributes:
        start: State to enter; its input has the field `failure` with Error and Cause.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, topic: sns.ITopic, workflow: str
    ) -> None:
        super().__init__(scope, construct_id)
        failed = sfn.Fail.jsonata(
            self,
            "Failed",
            error="{% $states.input.failure.Error %}",
            cause="{% $states.input.failure.Cause %}",
        )
        self.start = publish(
            self,
            "NotifyFailure",
            topic=topic,
            subject=f"shopkpi: {workflow} failed",
            message={
                "event": f"{workflow}.failed",
                "execution": "{% $states.context.Execution.Id %}",
                "input": "{% $states.context.Execution.Input %}",
                "error": "{% $states.input.failure.Error %}",
                "cause": "{% $states.input.failure.Cause %}",
                "exit_code": "{% $states.input.exit_code %}",
                "runbook": f"docs/runbook.md#failed-{workflow}-executions",
            },
        )
        # The execution must fail with its own error, even where the topic cannot be reached.
        self.start.add_catch(failed, errors=["States.ALL"], outputs=UNCHANGED)
        self.start.next(failed)


def publish(
    scope: Construct,
    construct_id: str,
    *,
    topic: sns.ITopic,
    subject: str,
    message: Mapping[str, str],
) -> tasks.SnsPublish:
    """Publish `message` to the topic as indented JSON."""
    fields = ", ".join(f"'{name}': {_operand(value)}" for name, value in message.items())
    state = tasks.SnsPublish.jsonata(
        scope,
        construct_id,
        state_name=construct_id,
        topic=topic,
        subject=subject,
        message=sfn.TaskInput.from_text(f"{{% $string({{{fields}}}, true) %}}"),
        task_timeout=sfn.Timeout.duration(Duration.minutes(1)),
        outputs=UNCHANGED,
    )
    retry_call(state)
    return state


def _operand(value: str) -> str:
    """Return a value as part of an expression: `{% %}` stripped, other text quoted."""
    if value.startswith("{%"):
        return value.removeprefix("{%").removesuffix("%}").strip()
    return f"'{value}'"


def is_marker(key: str) -> str:
    """Return JSONata for "this key names no data": a marker, temporary or backup file."""
    names = "|".join(MARKER_NAMES).replace(".*", r"[^\/]*")
    return f"$contains({key}, /(^|\\/)({names})(\\/|$)/i)"
