"""Fargate cluster, container image, and one task definition per set of rights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from aws_cdk import Aws, CfnRule, CfnRuleAssertion, Duration, Fn, RemovalPolicy, Size
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecr_assets as assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.buckets import (
    ARCHIVE_FOLDER,
    ICEBERG_FOLDER,
    INDEX_FOLDER,
    PACKS_FOLDER,
    PLANS_FOLDER,
    QUARANTINE_FOLDER,
    Buckets,
)
from infra.network import Network
from infra.settings import ARM64, ECR_IMAGE, X86_64, Settings, cpu_units
from infra.tables import Tables

CONTAINER = "worker"
SCRATCH_FOLDER = "/tmp"  # noqa: S108  (of the container, whose volume is its own)
USER = "10001:10001"
"""User and group id that the Dockerfile gives the worker."""

PLATFORMS = {ARM64: assets.Platform.LINUX_ARM64, X86_64: assets.Platform.LINUX_AMD64}
"""CPU architecture of tasks -> platform that the image is built for."""

METRICS_NAMESPACE = "shopkpi"

# Exit codes of the worker that decide about a retry; docs/deploy.md lists all of them.
WRONG_USE = 2
NOT_NOW = 5
"""A contract or a format is being changed: the same command succeeds later."""

READ_ITEMS = ("dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query")
# TransactWriteItems needs the right of each action in it (DynamoDB developer guide).
COMMIT_ENTRIES = ("dynamodb:ConditionCheckItem", "dynamodb:PutItem")
REPLACE_ROWS = ("dynamodb:DeleteItem", "dynamodb:PutItem")
READ_OBJECTS = ("s3:GetObject", "s3:GetObjectVersion")
WRITE_OBJECTS = ("s3:AbortMultipartUpload", "s3:PutObject")


class Compute(Construct):
    """Fargate cluster with the task definitions of the worker.

    Attributes:
        cluster: Fargate cluster, on-demand and Spot.
        network: Network of its tasks.
        log_group: Logs of every task.
        validate: Task that reads the input bucket, writes the clean zone and the ledger.
        transform: Task that reads the clean zone, writes the KPI tables and the ledger.
        archive: Task that moves raw objects out of the input bucket and reads the ledger.
        batch: Task that does what both do; `validate` where no task does.
        queue_rights: Task -> policy statements for the queue of uploads.
        validate_rights: Policy statements of the role of `validate`.
        transform_rights: Policy statements of the role of `transform`.
        operator: Task for what a person asks for: `retract`, `restore`, `contract adopt`.
        operator_rights: Policy statements of its role.
        audit_rights: Policy statements for reading uploads, clean zone, ledger and KPI tables.
        maintain_rights: Policy statements for merging the key index and deleting unused objects.
        key_rights: Policy statements for the KMS key of the stack's buckets, if any.
        decrypt_rights: Policy statements for reading uploads under a customer's KMS key, if any.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        network: Network,
        buckets: Buckets,
        tables: Tables,
        queue_rights: Mapping[str, Sequence[iam.PolicyStatement]],
        log_retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        self.network = network
        self.queue_rights = queue_rights
        self._environment = {
            "SHOPKPI_DEPLOYMENT": settings.prefix,
            "SHOPKPI_KPIS": ",".join(settings.kpis),
            "SHOPKPI_METRICS_NAMESPACE": METRICS_NAMESPACE,
            # Never SHOPKPI_CONTRACT: the contract in force is that of the ledger.
            "SHOPKPI_PROPOSED_CONTRACT": settings.contract,
            "SHOPKPI_STATE": f"dynamodb://{settings.prefix}",
            "SHOPKPI_WORKSPACE": f"s3://{buckets.clean.bucket_name}",
        }
        self._cpu_architecture = settings.cpu_architecture
        self._image = self._find_image(settings)
        self.log_group = logs.LogGroup(
            self,
            "Logs",
            log_group_name=f"/{settings.prefix}/tasks",
            retention=log_retention,
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.cluster = ecs.Cluster(
            self,
            "Cluster",
            vpc=network.vpc,
            enable_fargate_capacity_providers=True,
            # The warm service scales on its running tasks, which only Container Insights counts.
            container_insights_v2=ecs.ContainerInsights.ENABLED
            if settings.warm_service
            else ecs.ContainerInsights.DISABLED,
        )
        key = settings.bucket_kms_key_arn
        self.key_rights = [_key_right(key)] if key else []
        self._define_rights(settings, buckets, tables)
        own = {
            "validate": self.validate_rights,
            "transform": self.transform_rights,
            "archive": self._archive_rights,
        }
        self.validate, self.transform, self.archive = (
            self.add_task(name.title(), rights=[*rights, *queue_rights[name]])
            for name, rights in own.items()
        )
        self.batch = (
            self.add_task(
                "Batch",
                rights=[*self.validate_rights, *self.transform_rights, *queue_rights["validate"]],
            )
            if settings.one_task_mib
            else self.validate
        )
        self.operator = self.add_task("Operator", rights=self.operator_rights)

    def _define_rights(self, settings: Settings, buckets: Buckets, tables: Tables) -> None:
        # S3 decrypts on behalf of the caller, who needs the right to (S3 user guide, SSE-KMS).
        self.decrypt_rights = (
            [iam.PolicyStatement(actions=["kms:Decrypt"], resources=[settings.input_kms_key_arn])]
            if settings.input_kms_key_arn
            else []
        )
        self.validate_rights = [
            _objects(READ_OBJECTS, buckets.input),
            _listing(buckets.input, buckets.clean),
            _objects((*READ_OBJECTS, *WRITE_OBJECTS, "s3:DeleteObject"), buckets.clean),
            _items((*READ_ITEMS, *COMMIT_ENTRIES), tables.ledger),
            *self.decrypt_rights,
        ]
        self.transform_rights = [
            _listing(buckets.clean),
            _objects(READ_OBJECTS, buckets.clean),
            _objects(WRITE_OBJECTS, buckets.clean, PLANS_FOLDER),
            # A run of the key index or a pack is deleted once another one has taken its place.
            *(
                _objects((*WRITE_OBJECTS, "s3:DeleteObject"), buckets.clean, folder)
                for folder in (INDEX_FOLDER, PACKS_FOLDER)
            ),
            # A transform deletes KPI rows that are gone from a day, and the items of sources that
            # have no waiting rows any more; ledger entries stay for ever.
            _items((*READ_ITEMS, *REPLACE_ROWS), *tables.kpis.values()),
            iam.PolicyStatement(
                actions=["dynamodb:DeleteItem"],
                resources=[tables.ledger.table_arn],
                conditions={
                    "ForAllValues:StringLike": {
                        "dynamodb:LeadingKeys": ["kpi_waiting", "*#kpi_waiting"]
                    }
                },
            ),
            _items((*READ_ITEMS, "dynamodb:PutItem"), tables.ledger),
        ]
        # The recount reads raw objects where they are still there.
        self.audit_rights = [
            _listing(buckets.input, buckets.clean),
            _objects(READ_OBJECTS, buckets.input),
            _objects(READ_OBJECTS, buckets.clean),
            _items(READ_ITEMS, tables.ledger, *tables.kpis.values()),
            *self.decrypt_rights,
        ]
        self.maintain_rights = [
            _listing(buckets.clean),
            _objects((*READ_OBJECTS, "s3:DeleteObject"), buckets.clean),
            _objects(WRITE_OBJECTS, buckets.clean, INDEX_FOLDER),
            _items(READ_ITEMS, tables.ledger),
        ]
        if settings.iceberg_tables:
            self.maintain_rights += [
                _objects(WRITE_OBJECTS, buckets.clean, ICEBERG_FOLDER),
                _iceberg_catalog(settings.database),
            ]
        self._archive_reading = [
            _listing(buckets.archive),
            _objects(READ_OBJECTS, buckets.archive, ARCHIVE_FOLDER),
            _objects(READ_OBJECTS, buckets.archive, QUARANTINE_FOLDER),
        ]
        self._archive_rights = [
            _listing(buckets.input, buckets.archive),
            _objects((*READ_OBJECTS, "s3:DeleteObject", "s3:DeleteObjectVersion"), buckets.input),
            _objects(("s3:GetObject", *WRITE_OBJECTS), buckets.archive, ARCHIVE_FOLDER),
            _objects(("s3:GetObject", *WRITE_OBJECTS), buckets.archive, QUARANTINE_FOLDER),
            _objects(READ_OBJECTS, buckets.clean, PLANS_FOLDER),
            _items(READ_ITEMS, tables.ledger),
            *self.decrypt_rights,
        ]

    @property
    def operator_rights(self) -> list[iam.PolicyStatement]:
        """An adoption validates raw objects again, where they are now, and publishes every day."""
        return [*self.validate_rights, *self.transform_rights, *self._archive_reading]

    @property
    def tagging_right(self) -> iam.PolicyStatement:
        """Right to start tasks with tags: RunTask alone is not enough (ECS guide, "Tagging")."""
        return iam.PolicyStatement(
            actions=["ecs:TagResource"],
            resources=[
                f"arn:{Aws.PARTITION}:ecs:{Aws.REGION}:{Aws.ACCOUNT_ID}"
                f":task/{self.cluster.cluster_name}/*"
            ],
            conditions={"StringEquals": {"ecs:CreateAction": "RunTask"}},
        )

    def erasure_rights(self, buckets: Buckets) -> list[iam.PolicyStatement]:
        """Rewriting raw objects without a customer, and listing what is left of them."""
        every = (buckets.input, buckets.clean, buckets.archive)
        return [
            _objects(WRITE_OBJECTS, buckets.input),
            _objects(WRITE_OBJECTS, buckets.archive, ARCHIVE_FOLDER),
            _objects(WRITE_OBJECTS, buckets.archive, QUARANTINE_FOLDER),
            iam.PolicyStatement(
                actions=["s3:ListBucketVersions"], resources=[one.bucket_arn for one in every]
            ),
        ]

    def _find_image(self, settings: Settings) -> ecs.ContainerImage:
        """Return the image in Amazon ECR that the settings name, else the one that the CDK builds.

        Either one gives the execution role of each task the right to pull it.
        """
        named = ECR_IMAGE.fullmatch(settings.image_uri)
        if named is None:
            base = settings.base_image
            return ecs.ContainerImage.from_asset(
                str(Path(__file__).parents[1]),
                platform=PLATFORMS[settings.cpu_architecture],
                build_args={"BASE_IMAGE": base} if base else None,
            )
        account, region, name = named["account"], named["region"], named["repository"]
        CfnRule(
            self,
            "ImageIsInThisRegion",
            assertions=[
                CfnRuleAssertion(
                    assert_=Fn.condition_equals(Aws.REGION, region),
                    assert_description=f"image_uri is in {region}; tasks reach no other region",
                )
            ],
        )
        repository = ecr.Repository.from_repository_attributes(
            self,
            "Image",
            repository_arn=f"arn:aws:ecr:{region}:{account}:repository/{name}",
            repository_name=name,
        )
        return ecs.ContainerImage.from_ecr_repository(repository, named["digest"] or named["tag"])

    def add_task(
        self,
        name: str,
        *,
        rights: Sequence[iam.PolicyStatement],
        command: Sequence[str] = ("--help",),
        vcpu: float = 0.25,
    ) -> ecs.FargateTaskDefinition:
        """Define a task with a role of its own.

        Args:
            name: Construct id.
            rights: Policy statements of the role.
            command: Arguments of `shopkpi`; a state machine overrides them for each run.
            vcpu: Size; a state machine overrides it for each run.
        """
        role = iam.Role(
            self,
            f"{name}Role",
            assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"),
            description=f"What the {name.lower()} task of shopkpi may do",
        )
        iam.Policy(self, f"{name}Policy", statements=[*rights, *self.key_rights], roles=[role])
        task = ecs.FargateTaskDefinition(
            self,
            name,
            cpu=cpu_units(vcpu),
            memory_limit_mib=2 * cpu_units(vcpu),
            task_role=role,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=ecs.CpuArchitecture.of(self._cpu_architecture),
                operating_system_family=ecs.OperatingSystemFamily.LINUX,
            ),
            volumes=[ecs.Volume(name="scratch")],
        )
        container = task.add_container(
            CONTAINER,
            image=self._image,
            command=list(command),
            environment=self._environment,
            user=USER,
            readonly_root_filesystem=True,
            linux_parameters=ecs.LinuxParameters(self, f"{name}Linux", init_process_enabled=True),
            # Fargate allows 120 s at most; Spot warns two minutes before it interrupts a task.
            stop_timeout=Duration.seconds(120),
            logging=ecs.LogDrivers.aws_logs(
                stream_prefix=name.lower(),
                log_group=self.log_group,
                mode=ecs.AwsLogDriverMode.NON_BLOCKING,
                max_buffer_size=Size.mebibytes(8),
            ),
        )
        container.add_mount_points(
            ecs.MountPoint(container_path=SCRATCH_FOLDER, source_volume="scratch", read_only=False)
        )
        return task


def _objects(actions: Sequence[str], bucket: s3.IBucket, folder: str = "") -> iam.PolicyStatement:
    return iam.PolicyStatement(
        actions=sorted(actions), resources=[bucket.arn_for_objects(f"{folder}*")]
    )


def _key_right(key_arn: str) -> iam.PolicyStatement:
    """Allow what S3 does with a key for its caller, and nothing with the key itself."""
    return iam.PolicyStatement(
        actions=["kms:Decrypt", "kms:GenerateDataKey"],
        resources=[key_arn],
        conditions={"StringEquals": {"kms:ViaService": f"s3.{Aws.REGION}.{Aws.URL_SUFFIX}"}},
    )


def _iceberg_catalog(database: str) -> iam.PolicyStatement:
    """Allow creating and changing the tables of a Glue database whose names begin alike."""
    glue = f"arn:{Aws.PARTITION}:glue:{Aws.REGION}:{Aws.ACCOUNT_ID}"
    return iam.PolicyStatement(
        actions=[
            *("glue:CreateTable", "glue:DeleteTable", "glue:GetDatabase", "glue:GetTable"),
            *("glue:GetTables", "glue:UpdateTable"),
        ],
        resources=[
            f"{glue}:catalog",
            f"{glue}:database/{database}",
            f"{glue}:table/{database}/*",
        ],
    )


def _listing(*buckets: s3.IBucket) -> iam.PolicyStatement:
    """Allow listing, without which S3 answers 403 instead of 404 for an object that is missing."""
    return iam.PolicyStatement(
        actions=["s3:ListBucket"], resources=[bucket.bucket_arn for bucket in buckets]
    )


def _items(actions: Sequence[str], *tables: dynamodb.Table) -> iam.PolicyStatement:
    return iam.PolicyStatement(
        actions=sorted(actions), resources=[table.table_arn for table in tables]
    )
