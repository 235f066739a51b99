"""Move a raw object out of the input bucket: to `archive/`, or a refused one to `quarantine/`."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk import aws_stepfunctions_tasks as tasks
from constructs import Construct

from infra.buckets import ARCHIVE_FOLDER, Buckets
from infra.compute import Compute
from infra.settings import MIB, cpu_units
from infra.workflows.steps import FAILURE, UNCHANGED, URL, VERSION_ID, retry_call, when
from infra.workflows.worker_tasks import WorkerTasks

# CopyObject accepts 5 GB (S3 API reference). The lower limit keeps the call short enough not to be
# cut off; a task moves larger objects.
COPY_LIMIT_BYTES = 1024 * MIB

# A key of S3 has 1,024 bytes at most, and `archive/<source_id>/` comes before it. The worker gives
# objects with longer keys a short one. URL encoding makes no key shorter than its bytes.
COPY_LIMIT_KEY_BYTES = 1024 - len(ARCHIVE_FOLDER) - 17


class ArchiveStates(Construct):
    """States that move the source object, always after the ledger's commit.

    Attributes:
        accepted: State to enter once the object's rows are in the KPIs; it ends the execution.
        quarantine: State that moves a refused object; the caller adds its next state.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        compute: Compute,
        buckets: Buckets,
        worker: WorkerTasks,
        failure: sfn.IChainable,
        timeout: Duration,
    ) -> None:
        super().__init__(scope, construct_id)
        self._compute = compute
        self._buckets = buckets
        self._worker = worker
        self._failure = failure
        self._timeout = timeout
        self.quarantine = self._archive("Quarantine")
        done = sfn.Succeed.jsonata(self, "Done", state_name="Done")
        archive = self._archive("Archive")
        archive.next(done)
        small = when(
            f"$states.input.size <= {COPY_LIMIT_BYTES} and "
            f"$length($encodeUrlComponent($states.input.key)) <= {COPY_LIMIT_KEY_BYTES}"
        )
        self.accepted = (
            sfn.Choice.jsonata(self, "IsCopyable", state_name="IsCopyable")
            .when(small, self._copy_and_delete(archive, done))
            .otherwise(archive)
        )

    def _archive(self, name: str) -> tasks.EcsRunTask:
        """Run `shopkpi archive`, which moves the object where its verdict says."""
        to = f"s3://{self._buckets.archive.bucket_name}"
        return self._worker.run(
            self,
            name,
            task=self._compute.archive,
            command=["archive", URL, "--version-id", VERSION_ID, "--to", to],
            # S3 copies the bytes; the task only waits.
            cpu=f"{cpu_units(0.25)}",
            timeout=self._timeout,
        )

    def _copy_and_delete(self, archive: sfn.IChainable, done: sfn.Succeed) -> tasks.CallAwsService:
        """Move by two calls of S3: a task would take a minute to start and cost more."""
        archived = self._buckets.archive.arn_for_objects(f"{ARCHIVE_FOLDER}*")
        incoming = self._buckets.input.arn_for_objects("*")
        source = "$states.input.bucket & '/' & $encodeUrlComponent($states.input.key)"
        copy = self._call(
            "CopyToArchive",
            action="copyObject",
            # CopyObject copies tags too. Without ListBucket S3 answers 403 instead of 404 for a
            # missing object.
            rights=[
                _allow(archived, "s3:PutObject"),
                _allow(archived, "s3:PutObjectTagging"),
                _allow(incoming, "s3:GetObjectVersion", "s3:GetObjectVersionTagging"),
                _allow(self._buckets.input.bucket_arn, "s3:ListBucket"),
                *self._compute.decrypt_rights,
            ],
            parameters={
                "Bucket": self._buckets.archive.bucket_name,
                "Key": f"{{% '{ARCHIVE_FOLDER}' & $states.input.source_id & '/' & "
                "$states.input.key %}",
                "CopySource": f"{{% {source} & '?versionId=' & $states.input.version_id %}}",
            },
        )
        # The task finds the cause: an earlier attempt may have moved the object already.
        copy.add_catch(archive, errors=["States.ALL"], outputs=UNCHANGED)
        # Only this version: a later one is an upload of its own.
        delete = self._call(
            "DeleteFromInput",
            action="deleteObject",
            rights=[_allow(incoming, "s3:DeleteObjectVersion")],
            parameters={
                "Bucket": "{% $states.input.bucket %}",
                "Key": "{% $states.input.key %}",
                "VersionId": VERSION_ID,
            },
        )
        delete.add_catch(self._failure, errors=["States.ALL"], outputs=FAILURE)
        copy.next(delete).next(done)
        return copy

    def _call(
        self,
        name: str,
        *,
        action: str,
        parameters: Mapping[str, str],
        rights: list[iam.PolicyStatement],
    ) -> tasks.CallAwsService:
        """Call S3; `rights` are those of the state machine's role."""
        first, *others = rights
        state = tasks.CallAwsService.jsonata(
            self,
            name,
            state_name=name,
            service="s3",
            action=action,
            iam_action=first.actions[0],
            iam_resources=first.resources,
            additional_iam_statements=others,
            parameters=dict(parameters),
            task_timeout=sfn.Timeout.duration(Duration.minutes(5)),
            outputs=UNCHANGED,
        )
        retry_call(state, final=["S3.NoSuchKeyException", "S3.NoSuchVersionException"])
        return state


def _allow(resource: str, *actions: str) -> iam.PolicyStatement:
    return iam.PolicyStatement(actions=list(actions), resources=[resource])
