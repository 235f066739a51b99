"""SNS topic for operators, and the dead-letter queue."""

from __future__ import annotations

from aws_cdk import Aws, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.settings import Settings


class Notifications(Construct):
    """Topic of refusals, failures and alarms, and the dead-letter queue of undelivered events.

    Attributes:
        topic: The address of `settings.alarm_email`, if any, is subscribed to it. An existing one
            is left as it is: its policy must let CloudWatch publish.
        dlq: Events and messages that could not be delivered.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings) -> None:
        super().__init__(scope, construct_id)
        self.topic = (
            sns.Topic.from_topic_arn(self, "Topic", settings.topic_arn)
            if settings.topic_arn
            else self._make_topic(settings.alarm_email)
        )
        self.dlq = sqs.Queue(
            self,
            "DeadLetters",
            enforce_ssl=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            retention_period=Duration.days(14),
        )

    def _make_topic(self, email: str) -> sns.Topic:
        topic = sns.Topic(self, "Topic", display_name="shopkpi", enforce_ssl=True)
        # The Deny of `enforce_ssl` replaces the default policy of SNS, which let alarms publish.
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="AlarmsMayPublish",
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        if email:
            topic.add_subscription(subscriptions.EmailSubscription(email))
        return topic
