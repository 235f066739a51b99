"""Warm service: process small source objects without the cold start of a task."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Duration
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.compute import Compute
from infra.settings import Settings
from infra.workflows.steps import UNCHANGED, retry

BACKLOG_PER_TASK = 4
"""Target of messages per running task; a task works on that many at once."""

HEARTBEAT_TIMEOUT = Duration.minutes(3)
"""Longest silence of a worker on a message before the state machine starts a task instead."""


class WarmService(Construct):
    """Fargate service that takes commands from a queue, each with a Step Functions task token.

    A message is JSON: `task_token`, and `command`, the arguments of `shopkpi`. The worker
    (`shopkpi serve --queue URL`) sends heartbeats while it works, then success or failure. Whatever
    goes wrong here, the state machine starts a task of its own, with the retries of a task.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        compute: Compute,
        dlq: sqs.IQueue,
    ) -> None:
        super().__init__(scope, construct_id)
        self._dlq = dlq
        self.queue = sqs.Queue(
            self,
            "Queue",
            enforce_ssl=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            # The state machine has given up an older message (`task_timeout` below).
            retention_period=Duration.minutes(30),
            # The worker extends it with each heartbeat; a crash delays the message by a minute.
            visibility_timeout=Duration.minutes(1),
            dead_letter_queue=sqs.DeadLetterQueue(queue=dlq, max_receive_count=3),
        )
        receive = iam.PolicyStatement(
            actions=["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"],
            resources=[self.queue.queue_arn],
        )
        # The token is the right: these actions have no resource (service authorization reference).
        answer = iam.PolicyStatement(
            actions=[
                f"states:SendTask{outcome}" for outcome in ("Failure", "Heartbeat", "Success")
            ],
            resources=["*"],
        )
        self.task = compute.add_task(
            "Serve",
            rights=[
                *compute.validate_rights,
                *compute.transform_rights,
                *compute.queue_rights["validate"],
                receive,
                answer,
            ],
            command=[
                *("serve", "--queue", self.queue.queue_url),
                *("--concurrency", str(BACKLOG_PER_TASK)),
            ],
            vcpu=settings.medium_task_vcpu,
        )
        self.service = ecs.FargateService(
            self,
            "Service",
            cluster=compute.cluster,
            task_definition=self.task,
            platform_version=ecs.FargatePlatformVersion.VERSION1_4,
            desired_count=settings.warm_min_tasks,
            min_healthy_percent=100,
            max_healthy_percent=200,
            propagate_tags=ecs.PropagatedTagSource.TASK_DEFINITION,
            assign_public_ip=compute.network.public_addresses,
            security_groups=[compute.network.tasks],
            vpc_subnets=compute.network.subnets,
            circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
            capacity_provider_strategies=[
                ecs.CapacityProviderStrategy(
                    capacity_provider="FARGATE_SPOT" if settings.spot else "FARGATE", weight=1
                )
            ],
        )
        self._scale(compute, settings)

    def run(
        self,
        scope: Construct,
        construct_id: str,
        *,
        command: Sequence[str],
        otherwise: sfn.IChainable,
    ) -> tasks.SqsSendMessage:
        """Send `command` to the service and wait for it; any error leads to `otherwise`."""
        state = tasks.SqsSendMessage.jsonata(
            scope,
            construct_id,
            state_name=construct_id,
            integration_pattern=sfn.IntegrationPattern.WAIT_FOR_TASK_TOKEN,
            queue=self.queue,
            message_body=sfn.TaskInput.from_object(
                {"task_token": "{% $states.context.Task.Token %}", "command": list(command)}
            ),
            heartbeat_timeout=sfn.Timeout.duration(HEARTBEAT_TIMEOUT),
            task_timeout=sfn.Timeout.duration(Duration.minutes(15)),
            outputs=UNCHANGED,
        )
        # No retry of States.ALL: `otherwise` runs a failed command at once.
        retry(state, errors=["SQS.AmazonSQSException"], first_s=1, attempts=3)
        state.add_catch(otherwise, errors=["States.ALL"], outputs=UNCHANGED)
        return state

    def _scale(self, compute: Compute, settings: Settings) -> None:
        target = scaling.ScalableTarget(
            self,
            "Size",
            service_namespace=scaling.ServiceNamespace.ECS,
            scalable_dimension="ecs:service:DesiredCount",
            resource_id=f"service/{compute.cluster.cluster_name}/{self.service.service_name}",
            min_capacity=settings.warm_min_tasks,
            max_capacity=settings.warm_max_tasks,
        )
        # The L2 construct of target tracking accepts no metric math.
        policy = scaling.CfnScalingPolicy
        policy(
            self,
            "BacklogPerTask",
            policy_name=f"{settings.prefix}-backlog-per-task",
            policy_type="TargetTrackingScaling",
            scaling_target_id=target.scalable_target_id,
            target_tracking_scaling_policy_configuration=policy.TargetTrackingScalingPolicyConfigurationProperty(
                target_value=BACKLOG_PER_TASK,
                scale_in_cooldown=300,
                scale_out_cooldown=30,
                customized_metric_specification=policy.CustomizedMetricSpecificationProperty(
                    metrics=[
                        *(_tracked(name, metric) for name, metric in self._metrics(compute)),
                        policy.TargetTrackingMetricDataQueryProperty(
                            id="backlog_per_task",
                            expression=f"{BACKLOG} / IF({RUNNING} > 0, {RUNNING}, 1)",
                            return_data=True,
                        ),
                    ]
                ),
            ),
        )
        if settings.warm_min_tasks == 0:
            self._add_wake_up(target, dict(self._metrics(compute)))

    def _metrics(self, compute: Compute) -> list[tuple[str, cloudwatch.Metric]]:
        minute = Duration.minutes(1)
        running = cloudwatch.Metric(
            namespace="ECS/ContainerInsights",
            metric_name="RunningTaskCount",
            dimensions_map={
                "ClusterName": compute.cluster.cluster_name,
                "ServiceName": self.service.service_name,
            },
            statistic="Average",
            period=minute,
        )
        queue = self.queue
        return [
            ("waiting", queue.metric_approximate_number_of_messages_visible(period=minute)),
            ("taken", queue.metric_approximate_number_of_messages_not_visible(period=minute)),
            ("running", running),
        ]

    def _add_wake_up(
        self, target: scaling.ScalableTarget, metrics: dict[str, cloudwatch.Metric]
    ) -> None:
        """Start the first task by an alarm: target tracking multiplies, and cannot leave zero."""
        asleep = cloudwatch.MathExpression(
            expression=f"IF({RUNNING} < 1, {BACKLOG}, 0)",
            using_metrics=dict(metrics),
            period=Duration.minutes(1),
        )
        alarm = asleep.create_alarm(
            self,
            "Wake",
            alarm_description="Messages wait and no warm task runs; this alarm starts one. "
            "What to do: docs/runbook.md#sleeping-warm-service",
            threshold=1,
            evaluation_periods=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        start = scaling.StepScalingAction(
            self,
            "Start",
            scaling_target=target,
            adjustment_type=scaling.AdjustmentType.CHANGE_IN_CAPACITY,
            cooldown=Duration.minutes(3),
        )
        start.add_adjustment(adjustment=1, lower_bound=0)
        alarm.add_alarm_action(actions.ApplicationScalingAction(start))


BACKLOG = "(FILL(waiting, 0) + FILL(taken, 0))"
RUNNING = "FILL(running, 0)"


def _tracked(
    name: str, metric: cloudwatch.Metric
) -> scaling.CfnScalingPolicy.TargetTrackingMetricDataQueryProperty:
    """Return a metric as an input of target tracking's expression."""
    policy = scaling.CfnScalingPolicy
    return policy.TargetTrackingMetricDataQueryProperty(
        id=name,
        return_data=False,
        metric_stat=policy.TargetTrackingMetricStatProperty(
            stat="Average",
            metric=policy.TargetTrackingMetricProperty(
                namespace=metric.namespace,
                metric_name=metric.metric_name,
                dimensions=[
                    policy.TargetTrackingMetricDimensionProperty(name=key, value=str(value))
                    for key, value in (metric.dimensions or {}).items()
                ],
            ),
        ),
    )
