"""Run the worker's command line as a Fargate task, and retry it by its exit code.

A `Retry` sees the name of an error, and that is States.TaskFailed for every exit code. Each task is
therefore followed by a Choice, which reads the exit code, and by a Wait, which leads back to it.

    X -- States.TaskFailed or States.Timeout --> IsXRetried -- yes --> WaitForX --> X
                                                     no --> the failure states
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.compute import NOT_NOW, WRONG_USE, Compute
from infra.settings import VCPUS, cpu_units
from infra.workflows import capacity
from infra.workflows.steps import FAILURE, adding, never_retry, retry, when

MAX_RETRIES = 3
MAX_RETRIES_AFTER_TIMEOUT = 1
FIRST_WAIT_S = 10
MAX_WAIT_S = 300

EXECUTION = "SHOPKPI_EXECUTION"
NAME = "{% $states.context.Execution.Name %}"
"""What every log line of a task bears beside what it says."""

BAD_EXPRESSION = "States.QueryEvaluationError"

RETRIES = "($exists($states.input.retries) ? $states.input.retries : 0)"
DOUBLINGS = "($exists($states.input.doublings) ? $states.input.doublings : 0)"

# The cause is the task as JSON. A task that never started has no exit code; here it gets -1.
COUNT_FAILURE = f"""{{% (
    $cause := $exists($states.errorOutput.Cause) ? $states.errorOutput.Cause : '';
    $code := $match($cause, /"ExitCode": *([0-9]+)/, 1);
    $exit_code := $exists($code) ? $number($code[0].groups[0]) : -1;
    $never_started := $contains($cause, '{capacity.NEVER_STARTED}');
    $counts := $exit_code = {NOT_NOW} or $never_started ? 0 : 1;
    $grows := $contains($cause, 'SpotInterruption') ? 0 : $counts;
    $merge([$states.input, {{
        'failure': $states.errorOutput,
        'exit_code': $exit_code,
        'never_started': $never_started,
        'retries': {RETRIES} + $counts,
        'doublings': {DOUBLINGS} + $grows
    }}])
) %}}"""

MAY_RETRY = (
    f"$states.input.exit_code = {NOT_NOW} or $states.input.never_started "
    f"or ($states.input.exit_code != {WRONG_USE} "
    "and $states.input.retries <= ($states.input.failure.Error = 'States.Timeout' "
    f"? {MAX_RETRIES_AFTER_TIMEOUT} : {MAX_RETRIES}))"
)

# Exponential backoff with full jitter; a worker that says "not now" is asked every five minutes. A
# task that ECS could not start is tried again within five.
WAIT_S = (
    f"{{% $states.input.exit_code = {NOT_NOW} ? {MAX_WAIT_S} : $ceil($random() * "
    f"($states.input.never_started ? {MAX_WAIT_S} : "
    f"$min([{MAX_WAIT_S}, {FIRST_WAIT_S} * $power(2, $states.input.retries - 1)]))) %}}"
)


class WorkerTasks:
    """Factory of states that run the worker's command line as a Fargate task and wait for it.

    A task with an exit code other than 0 fails its state with States.TaskFailed.

    - Exit code 2, wrong use: no retry.
    - Exit code 5, "not now": a retry every five minutes, as long as the execution lives.
    - A task that ECS could not start: again within five minutes, as long as the execution lives.
    - No capacity: again for six hours.
    - A timeout: one retry. Anything else: three.

    Each retry runs on a task of twice the size, since exit code 137 means out of memory. A Spot
    interruption and "not now" change no size. The first attempt is on Spot, retries are on demand.
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
        new_fields: str = "",
        failure: sfn.IChainable | None = None,
    ) -> tasks.EcsRunTask:
        """Build the states of one task; return the one that runs it.

        Args:
            scope: Parent construct of the states.
            construct_id: Name of the state.
            task: Task definition, which carries the rights.
            command: Arguments of `shopkpi`; each a text or a JSONata expression.
            cpu: JSONata for the size in CPU units, 1024 a vCPU; memory is 2 MiB per unit.
            timeout: Longest run of one attempt.
            new_fields: Fields that success adds to the input, the body of a JSONata object.
            failure: State to enter after the last retry, where it is not that of the workflow.
        """
        size = f"$min([{cpu_units(max(VCPUS))}, ({cpu}) * $power(2, {DOUBLINGS})])"
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
            # With the tags of its definition the costs of a task are told apart by stage.
            propagated_tag_source=ecs.PropagatedTagSource.TASK_DEFINITION,
            assign_public_ip=self._compute.network.public_addresses,
            # ECS expects both as strings (API reference, TaskOverride).
            cpu=f"{{% $string({size}) %}}",
            memory_mib=f"{{% $string(2 * {size}) %}}",
            container_overrides=[
                tasks.ContainerOverride(
                    container_definition=task.default_container,
                    command=list(command),
                    environment=[tasks.TaskEnvironmentVariable(name=EXECUTION, value=NAME)],
                )
            ],
            task_timeout=sfn.Timeout.duration(timeout),
            outputs=adding(
                ", ".join(["'retries': 0, 'doublings': 0", *filter(None, [new_fields])])
            ),
        )
        never_retry(state, BAD_EXPRESSION)
        retry(
            state,
            errors=list(capacity.CAPACITY_ERRORS),
            first_s=capacity.FIRST_WAIT_S,
            attempts=capacity.ATTEMPTS,
            longest_s=capacity.MAX_WAIT_S,
        )
        failed = failure or self._failure
        # States.TaskFailed would match these too (States Language, "Error names").
        state.add_catch(failed, errors=[BAD_EXPRESSION, *capacity.CAPACITY_ERRORS], outputs=FAILURE)
        again = self._retry_by_exit_code(scope, construct_id, state, failed)
        state.add_catch(
            again, errors=["States.TaskFailed", "States.Timeout"], outputs=COUNT_FAILURE
        )
        state.add_catch(failed, errors=["States.ALL"], outputs=FAILURE)
        return state

    def _retry_by_exit_code(
        self, scope: Construct, name: str, state: tasks.EcsRunTask, failed: sfn.IChainable
    ) -> sfn.IChainable:
        wait = sfn.Wait.jsonata(
            scope,
            f"WaitFor{name}",
            state_name=f"WaitFor{name}",
            time=sfn.WaitTime.seconds(WAIT_S),
        )
        wait.next(state)
        return (
            sfn.Choice.jsonata(scope, f"Is{name}Retried", state_name=f"Is{name}Retried")
            .when(when(MAY_RETRY), wait)
            .otherwise(failed)
        )

    def _launch_target(self) -> tasks.EcsFargateLaunchTarget:
        # A strategy of two providers divides tasks between them and does not fall back from one to
        # the other. Hence the first attempt is Spot, and each retry is on demand.
        is_first = f"$states.context.State.RetryCount + {RETRIES} = 0"
        provider = f"{{% {is_first} ? 'FARGATE_SPOT' : 'FARGATE' %}}"
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
