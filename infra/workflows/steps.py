"""Building blocks of the state machines: tasks with timeout, retry and catch.

States are written in JSONata. Distributed Maps are the exception: their item readers are JSONPath,
which both Step Functions and the emulator of the tests understand. One JSON object flows from state
to state. A state adds fields to it or passes it on, and never replaces it by a service's response.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.compute import Compute

UNCHANGED = "{% $states.input %}"
URL = "{% $states.input.url %}"
VERSION_ID = "{% $states.input.version_id %}"
SOURCE_ID = "{% $states.input.source_id %}"
FAILURE = "{% $merge([$states.input, {'failure': $states.errorOutput}]) %}"

# Names that Step Functions gives to the errors of RunTask: no capacity, throttling, quota.
CAPACITY_ERRORS = (
    "AmazonECS.Unknown",
    "ECS.AmazonECSException",
    "ECS.LimitExceededException",
    "ECS.ServerException",
    "ECS.ThrottlingException",
)


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


class WorkerTasks:
    """Factory of states that run the worker's command line as a Fargate task and wait for it.

    A task with an exit code other than 0 fails its state with States.TaskFailed.
    """

    def __init__(self, compute: Compute, *, failure: sfn.IChainable, spot: bool) -> None:
        self._compute = compute
        self._failure = failure
        self._spot = spot

    def run(
        self,
        scope: Construct,
        construct_id: str,
        *,
        task: ecs.FargateTaskDefinition,
        command: Sequence[str],
        cpu: str,
        timeout: Duration,
        outputs: str = UNCHANGED,
        handled: bool = True,
    ) -> tasks.EcsRunTask:
        """Build the state of one task.

        Args:
            scope: Parent construct of the state.
            construct_id: Name of the state.
            task: Task definition, which carries the rights.
            command: Arguments of `shopkpi`; each a text or a JSONata expression.
            cpu: JSONata for the size in CPU units, 1024 a vCPU; memory is 2 MiB per unit.
            timeout: Longest run of one attempt.
            outputs: Output of the state.
            handled: Whether a Catch leads to the failure states once the retries are used up;
                inside a Distributed Map it is the map that has the Catch.
        """
        state = tasks.EcsRunTask.jsonata(
            scope,
            construct_id,
            state_name=construct_id,
            integration_pattern=sfn.IntegrationPattern.RUN_JOB,
            cluster=self._compute.cluster,
            task_definition=task,
            launch_target=self._launch_target(),
            security_groups=[self._compute.network.tasks],
            subnets=self._compute.network.subnets,
            # ECS expects both as strings (API reference, TaskOverride).
            cpu=f"{{% $string({cpu}) %}}",
            memory_mib=f"{{% $string(2 * ({cpu})) %}}",
            container_overrides=[
                tasks.ContainerOverride(
                    container_definition=task.default_container, command=list(command)
                )
            ],
            task_timeout=sfn.Timeout.duration(timeout),
            outputs=outputs,
        )
        never_retry(state, "States.QueryEvaluationError")
        retry(state, errors=CAPACITY_ERRORS, first_s=5, attempts=8)
        retry(state, errors=["States.Timeout"], first_s=10, attempts=1)
        retry(state, errors=["States.TaskFailed"], first_s=10, attempts=3)
        if handled:
            state.add_catch(self._failure, errors=["States.ALL"], outputs=FAILURE)
        return state

    def _launch_target(self) -> tasks.EcsFargateLaunchTarget:
        # A strategy of two providers divides tasks between them and does not fall back from one to
        # the other. Hence the first attempt is Spot, and each retry is on demand.
        provider = "{% $states.context.State.RetryCount = 0 ? 'FARGATE_SPOT' : 'FARGATE' %}"
        return tasks.EcsFargateLaunchTarget(
            platform_version=ecs.FargatePlatformVersion.VERSION1_4,
            capacity_provider_options=tasks.CapacityProviderOptions.custom(
                capacity_provider_strategy=[
                    ecs.CapacityProviderStrategy(
                        capacity_provider=provider if self._spot else "FARGATE", weight=1
                    )
                ]
            ),
        )
