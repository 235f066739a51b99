"""S3 buckets: uploads, clean zone, archive, Athena results, and their access logs."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.settings import Settings

UPLOAD = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject")
"""What an upload needs, also one in parts."""

ARCHIVE_FOLDER = "archive/"
QUARANTINE_FOLDER = "quarantine/"
PLANS_FOLDER = "plans/"
PIECES_FOLDER = "pieces/"
INDEX_FOLDER = "index/"
PACKS_FOLDER = "packs/"
ICEBERG_FOLDER = "iceberg/"
ATHENA_FOLDER = "athena/"


class Buckets(Construct):
    """Buckets of one deployment: private, encrypted, reached over TLS only; data is versioned.

    Attributes:
        input: Uploads; sends an event to EventBridge for every created object. An existing one is
            left as it is: its owner switches these events on.
        clean: Clean zone, key index, rejects, plans of split objects.
        archive: Processed raw objects under `archive/`, refused ones under `quarantine/`.
        results: Results of Athena queries.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        removal: RemovalPolicy,
    ) -> None:
        super().__init__(scope, construct_id)
        self._removal = removal
        key = settings.bucket_kms_key_arn
        self._key = kms.Key.from_key_arn(self, "Key", key) if key else None
        self._logs = self._bucket("AccessLogs", [_expire(90)], keeps_versions=False)
        self.input = (
            s3.Bucket.from_bucket_name(self, "Input", settings.input_bucket)
            if settings.input_bucket
            else self._make_input(settings)
        )
        self.clean = self._bucket(
            "Clean",
            [
                _expire_old_versions(7),
                # Plans and range results of a split object are needed until it is committed.
                _expire(14, prefix=PLANS_FOLDER),
                _expire(14, prefix=PIECES_FOLDER),
            ],
        )
        to_glacier = s3.Transition(
            storage_class=s3.StorageClass.GLACIER_INSTANT_RETRIEVAL,
            transition_after=Duration.days(settings.archive_after_days),
        )
        self.archive = self._bucket(
            "Archive",
            [
                s3.LifecycleRule(
                    prefix=ARCHIVE_FOLDER,
                    transitions=[to_glacier],
                    expiration=Duration.days(settings.expire_after_days)
                    if settings.expire_after_days
                    else None,
                ),
                _expire_old_versions(90),
            ],
        )
        self.results = self._bucket("Results", [_expire(30)], keeps_versions=False)

    def _make_input(self, settings: Settings) -> s3.Bucket:
        bucket = self._bucket("Input", [_expire_old_versions(90)])
        # An L1 override: the L2 property `event_bridge_enabled` deploys a Lambda function for what
        # CloudFormation can set itself.
        bucket.node.default_child.add_property_override(
            "NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled", True
        )
        if settings.uploader_principals:
            bucket.add_to_resource_policy(
                iam.PolicyStatement(
                    sid="UploadersMayUpload",
                    principals=[iam.ArnPrincipal(one) for one in settings.uploader_principals],
                    actions=list(UPLOAD),
                    resources=[
                        bucket.arn_for_objects(f"{folder}*") for folder in settings.incoming_folders
                    ],
                )
            )
        return bucket

    def _bucket(
        self, name: str, rules: list[s3.LifecycleRule], *, keeps_versions: bool = True
    ) -> s3.Bucket:
        # Parts of an abandoned multipart upload are billed, though no listing shows them.
        abort = s3.LifecycleRule(abort_incomplete_multipart_upload_after=Duration.days(3))
        is_log = name == "AccessLogs"
        has_key = self._key is not None and not is_log
        return s3.Bucket(
            self,
            name,
            # S3 delivers access logs to a bucket under its own keys alone (S3 user guide).
            encryption=s3.BucketEncryption.KMS if has_key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=self._key if has_key else None,
            # One request to KMS for many objects.
            bucket_key_enabled=True if has_key else None,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=keeps_versions,
            lifecycle_rules=[abort, *rules],
            removal_policy=self._removal,
            server_access_logs_bucket=None if is_log else self._logs,
            server_access_logs_prefix=None if is_log else f"{name.lower()}/",
        )


def _expire(days: int, *, prefix: str | None = None) -> s3.LifecycleRule:
    return s3.LifecycleRule(prefix=prefix, expiration=Duration.days(days))


def _expire_old_versions(days: int) -> s3.LifecycleRule:
    """Delete overwritten and deleted versions, and the delete markers left behind."""
    return s3.LifecycleRule(
        noncurrent_version_expiration=Duration.days(days), expired_object_delete_marker=True
    )
