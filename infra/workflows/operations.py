"""What a person asks for: retract, restore, adopt a contract; and what a deployment proposes."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.buckets import PLANS_FOLDER, Buckets
from infra.compute import Compute
from infra.settings import Settings, cpu_units
from infra.workflows.steps import FAILURE, FailureStates, adding, publish, retry_call, when
from infra.workflows.worker_tasks import WorkerTasks

PROPOSAL_KEY = f"{PLANS_FOLDER}proposal.json"

DEPLOYED = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
"""Statuses of a stack whose deployment has succeeded."""

REASON = "{% $exists($states.input.reason) ? $states.input.reason : '' %}"


class Operations(Construct):
    """State machine of operations, the rule that starts it, and the policy of operators.

    Input: `operation`, and what goes with it:

    - `retract`, `restore`: `source`, an id, URL or end of a URL; `reason`, if any.
    - `adopt`: `contract`, the name of one that is part of the image.
    - `propose`: `contract`. The topic gets its differences and the days that it would change; with
      `adopt`, true, a contract that differs is adopted instead.

    A task that dies is started again, and goes on: each command can be repeated.

    Attributes:
        state_machine: Standard, at most twice `settings.execution_timeout_hours`.
        operators: Managed policy for people: to start it, and to run `shopkpi` themselves.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        compute: Compute,
        buckets: Buckets,
        queue_rights: Sequence[iam.PolicyStatement],
        topic: sns.ITopic,
        dlq: sqs.IQueue,
        log_group: logs.ILogGroup,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self._compute = compute
        self._buckets = buckets
        self._failure = FailureStates(self, "Failure", topic=topic, workflow="operations").start
        self._worker = WorkerTasks(compute, failure=self._failure, spot=settings.spot)
        self._done = sfn.Succeed.jsonata(self, "Done", state_name="Done")
        self.state_machine = sfn.StateMachine(
            self,
            "StateMachine",
            state_machine_name=f"{settings.prefix}-operations",
            comment="Retractions, restorations and contracts of shopkpi",
            definition_body=sfn.DefinitionBody.from_chainable(self._choose(topic)),
            timeout=Duration.hours(2 * settings.execution_timeout_hours),
            tracing_enabled=True,
            logs=sfn.LogOptions(
                destination=log_group, level=sfn.LogLevel.ALL, include_execution_data=True
            ),
        )
        self._start_after_deployments(dlq)
        self.operators = iam.ManagedPolicy(
            self,
            "Operators",
            description="Retract, restore and redrive uploads, adopt contracts, erase customers",
            statements=[
                *compute.operator_rights,
                # Not by the state machine: its history would keep the id.
                *compute.erasure_rights(buckets),
                *compute.key_rights,
                *queue_rights,
                self._start_rights(),
            ],
        )

    def _choose(self, topic: sns.ITopic) -> sfn.IChainable:
        archive = f"s3://{self._buckets.archive.bucket_name}"
        contract = "{% $states.input.contract %}"
        source = "{% $states.input.source %}"
        adopt = ["contract", "adopt", contract, "--raw", archive, "--format", "json"]
        commands = {
            "Retract": ["retract", source, "--reason", REASON],
            "Restore": ["restore", source, "--reason", REASON],
            "Adopt": adopt,
        }
        choice = sfn.Choice.jsonata(self, "Operation", state_name="Operation")
        states = {name: self._run(name, command) for name, command in commands.items()}
        for name, state in states.items():
            state.next(self._done)
            choice.when(when(f"$states.input.operation = '{name.lower()}'"), state)
        proposal = self._propose(archive, topic, states["Adopt"])
        choice.when(when("$states.input.operation = 'propose'"), proposal)
        unknown = sfn.Fail.jsonata(
            self,
            "UnknownOperation",
            state_name="UnknownOperation",
            error="UnknownOperation",
            cause="expected the operation retract, restore, adopt or propose",
        )
        return choice.otherwise(unknown)

    def _run(self, name: str, command: list[str]) -> tasks.EcsRunTask:
        return self._worker.run(
            self,
            name,
            task=self._compute.operator,
            command=command,
            cpu=f"{cpu_units(self._settings.medium_task_vcpu)}",
            timeout=Duration.hours(self._settings.execution_timeout_hours),
        )

    def _propose(self, archive: str, topic: sns.ITopic, adopt: sfn.IChainable) -> sfn.IChainable:
        """Ask for the differences; tell operators where there are some, or adopt them."""
        bucket = self._buckets.clean
        output = f"s3://{bucket.bucket_name}/{PROPOSAL_KEY}"
        contract = "{% $states.input.contract %}"
        propose = self._run(
            "Propose", ["contract", "propose", contract, "--raw", archive, "--output", output]
        )
        read = tasks.CallAwsService.jsonata(
            self,
            "ReadProposal",
            state_name="ReadProposal",
            service="s3",
            action="getObject",
            iam_action="s3:GetObject",
            iam_resources=[bucket.arn_for_objects(PROPOSAL_KEY)],
            parameters={"Bucket": bucket.bucket_name, "Key": PROPOSAL_KEY},
            task_timeout=sfn.Timeout.duration(Duration.minutes(1)),
            outputs=adding("'proposal': $parse($states.result.Body)"),
        )
        retry_call(read)
        read.add_catch(self._failure, errors=["States.ALL"], outputs=FAILURE)
        notify = publish(
            self,
            "NotifyProposal",
            topic=topic,
            subject="shopkpi: a contract is proposed",
            message={
                "event": "contract.proposed",
                "proposal": "{% $states.input.proposal %}",
                "runbook": "docs/runbook.md#proposed-contracts",
            },
        )
        notify.add_catch(self._failure, errors=["States.ALL"], outputs=FAILURE)
        notify.next(self._done)
        propose.next(read)
        read.next(
            sfn.Choice.jsonata(self, "IsAnother", state_name="IsAnother")
            .when(
                when(
                    "$count($states.input.proposal.differences) > 0 "
                    "and $exists($states.input.adopt) and $states.input.adopt"
                ),
                adopt,
            )
            .when(when("$count($states.input.proposal.differences) > 0"), notify)
            .otherwise(self._done)
        )
        return propose

    def _start_after_deployments(self, dlq: sqs.IQueue) -> None:
        """Propose the contract of each deployment, or adopt it where the settings say so."""
        settings = self._settings
        events.Rule(
            self,
            "Deployed",
            description="A deployment of shopkpi has succeeded: its contract is proposed",
            event_pattern=events.EventPattern(
                source=["aws.cloudformation"],
                detail_type=["CloudFormation Stack Status Change"],
                detail={
                    "stack-id": [Stack.of(self).stack_id],
                    "status-details": {"status": list(DEPLOYED)},
                },
            ),
            targets=[
                targets.SfnStateMachine(
                    self.state_machine,
                    input=events.RuleTargetInput.from_object(
                        {
                            "operation": "propose",
                            "contract": settings.contract,
                            "adopt": settings.adopt,
                        }
                    ),
                    dead_letter_queue=dlq,
                    max_event_age=Duration.hours(1),
                    retry_attempts=10,
                )
            ],
        )

    def _start_rights(self) -> iam.PolicyStatement:
        return iam.PolicyStatement(
            actions=["states:StartExecution"], resources=[self.state_machine.state_machine_arn]
        )
