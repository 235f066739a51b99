"""Queue of uploads: a message for each object, which lives until the object is in the KPIs."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sqs as sqs
from constructs import Construct

RETENTION = Duration.days(14)
"""The longest that SQS keeps a message (SQS developer guide, "Message quotas")."""

MAX_RECEIVES = 5
"""Receives after which a message is a dead letter. The worker moves one at its last receive, with
the cause; SQS moves one whose last worker was killed."""

VISIBILITY = Duration.minutes(30)
"""Time that messages wait for the next task of their batch, and for another batch where an
execution was stopped. Each command renews it; SQS allows 12 hours in all."""


class UploadQueue(Construct):
    """Queue of uploads and its dead letters.

    Attributes:
        queue: Messages are events of S3.
        dead_letters: Uploads that failed five times; `shopkpi redrive` brings them back.
        receiving_rights: Policy statements of a task that takes messages.
        holding_rights: Policy statements of a task that goes on with them.
        deleting_rights: Policy statements of a task that deletes them.
        redriving_rights: Policy statements of a person who brings dead letters back.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            enforce_ssl=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            retention_period=RETENTION,
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            enforce_ssl=True,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            retention_period=RETENTION,
            visibility_timeout=VISIBILITY,
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=MAX_RECEIVES
            ),
        )
        hold = ("sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes")
        bury = _allow(self.dead_letters, "sqs:GetQueueUrl", "sqs:SendMessage")
        self.holding_rights = [_allow(self.queue, *hold)]
        self.deleting_rights = [_allow(self.queue, *hold, "sqs:DeleteMessage")]
        self.receiving_rights = [
            _allow(self.queue, *hold, "sqs:DeleteMessage", "sqs:ReceiveMessage"),
            bury,
        ]
        self.redriving_rights = [
            _allow(self.queue, "sqs:GetQueueAttributes", "sqs:SendMessage"),
            _allow(
                self.dead_letters,
                *("sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"),
            ),
        ]


def _allow(queue: sqs.IQueue, *actions: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=sorted(actions), resources=[queue.queue_arn])
