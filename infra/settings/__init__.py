"""Settings of a deployment; `docs/deploy.md` lists them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kpi.aggregation.tables import KPI_TABLES
from kpi.contract.loading import built_in
from kpi.contract.model import Contract

MIB = 2**20

VCPUS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Task sizes of Fargate; each allows the 2 GiB of memory per vCPU that tasks get."""

# Retention periods that CloudWatch Logs accepts (API reference, PutRetentionPolicy).
LOG_RETENTION_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827)

PUBLIC, ENDPOINTS, EXISTING = NETWORKS = ("public", "endpoints", "existing")
"""Ways of tasks to AWS services (docs/decisions/0023)."""

ARM64, X86_64 = CPU_ARCHITECTURES = ("ARM64", "X86_64")

KPIS = tuple(name.removesuffix("_kpis") for name in KPI_TABLES)

# Tasks reach the registry of their own region only, through VPC endpoints. A tag or a digest is
# required: without one, ECS would run whatever `latest` is at that moment.
ECR_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com"
    r"/(?P<repository>[a-z0-9][a-z0-9._/-]{1,255})"
    r"(:(?P<tag>\w[\w.-]{0,127})|@(?P<digest>sha256:[0-9a-f]{64}))",
    re.ASCII,
)
PINNED_IMAGE = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")


def cpu_units(vcpu: float) -> int:
    """Convert vCPUs to the CPU units of ECS: 1024 a vCPU."""
    return int(vcpu * 1024)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one deployment.

    Attributes:
        stage: Names the deployment: tables are `shopkpi-<stage>-...`.
        retain_data: Keep buckets, tables and logs when the stack is deleted. Default: true for
            stage `prod`.
        termination_protection: Let CloudFormation refuse to delete the stack. Default: true for
            stage `prod`.
        protect_tables: Let DynamoDB refuse to delete the tables; for the second deployment, since
            a creation that rolls back could not delete them.
        topic_arn: An existing SNS topic for these, instead of one of the stack.
        permissions_boundary_arn: Managed policy that bounds every role of the stack.
        alarm_email: Receives refusals, failures and alarms; empty for nobody.
        contract: Name of a contract that is part of the image: the first accepted file adopts it;
            later another one is only proposed.
        adopt: Whether a deployment starts the adoption of `contract`, if another one is in force.
        kpis: KPIs that are computed.
        incoming_prefix: Where uploads are in the input bucket; ends in `/` or is empty.
        input_bucket: An existing bucket that uploads come into, instead of one of the stack.
        uploader_principals: ARNs of roles or users, also of other accounts, that may upload.
        bucket_kms_key_arn: Customer managed KMS key that the stack's buckets are encrypted with.
        image_uri: Image in Amazon ECR to run instead of building the Dockerfile; empty to build.
        base_image: Base image of the build, pinned by digest; empty for that of the Dockerfile.
        input_kms_key_arn: Customer managed KMS key that uploads are encrypted with, if any.
        cpu_architecture: `ARM64` or `X86_64`, of tasks and of the image that is built.
        network: Way of tasks to AWS services: `public` subnets without inbound rules, private ones
            with interface `endpoints`, or an `existing` VPC.
        share_network: Let other stages of this account use the VPC, by `network` = `existing`.
        vpc_id: The existing VPC.
        subnet_ids: Its subnets for tasks.
        public_addresses: Whether tasks there get public addresses, for subnets whose way out is an
            internet gateway.
        az_count: Availability zones that tasks and endpoints spread over.
        availability_zones: Their names, instead of the region's first `az_count`.
        spot: Try Fargate Spot first.
        small_task_vcpu: Task size of batches.
        medium_task_vcpu: Task size for source objects up to 16 times `small_mib`.
        large_task_vcpu: Task size for larger ones, for byte ranges and for slices of days.
        small_mib: Largest source object that goes in a batch.
        split_above_mib: A larger plain CSV is validated in byte ranges, by several tasks.
        range_mib: Length of such a byte range.
        batch_files: Most files of a batch; smaller objects than `small_mib` go in batches.
        batch_mib: MiB of files after which a batch is full.
        batch_window_s: Time from an upload to the batch that it starts, in which others join it.
        batch_concurrency: Batches at once; each has one task at a time.
        one_task_mib: A batch of up to so many MiB is validated and transformed by one task; 0 for
            two tasks always.
        days_per_task: Days that one task transforms after a split object.
        max_parallel_tasks: Tasks that work on one source object at once.
        execution_timeout_hours: Longest time from upload to KPIs.
        warm_service: Run small source objects on a long-running service instead of a task each.
        warm_min_tasks: Fewest tasks of that service; with 0 the first object after a pause waits
            for a task to start.
        warm_max_tasks: Most tasks of that service.
        log_retention_days: How long logs are kept.
        archive_after_days: Processed raw objects go to Glacier Instant Retrieval after this.
        expire_after_days: Processed raw objects are deleted after this; 0 for never.
        sweep_schedule: When the sweep looks for objects that nothing has picked up.
        sweep_min_age_minutes: The sweep starts objects that are older than this.
        uncommitted_alarm_minutes: Age of an object in the input bucket that raises the alarm.
        audit_sample_days: Days that each audit recomputes; 0 for no audit.
        audit_schedule: When the audit runs.
        maintain_schedule: When the key index is merged and unused objects are deleted.
        iceberg_tables: Write Iceberg tables of the current rows then, which Athena's named queries
            use instead of the clean zone.
        reject_rate_alarm: Share of rejected rows, over an hour, that raises the alarm.
        lag_alarm_minutes: Time from upload to KPIs that raises the alarm.
        success_within_hours: Longest time without a successful upload before the alarm; 0 for
            none. Default: 24 for stage `prod`, else 0.
        athena_scan_limit_gib: Largest scan of one Athena query.
    """

    stage: str = "dev"
    retain_data: bool = False
    termination_protection: bool = False
    protect_tables: bool = False
    alarm_email: str = ""
    topic_arn: str = ""
    permissions_boundary_arn: str = ""
    contract: str = "default"
    adopt: bool = False
    kpis: tuple[str, ...] = ("order", "category")
    incoming_prefix: str = ""
    input_bucket: str = ""
    uploader_principals: tuple[str, ...] = ()
    bucket_kms_key_arn: str = ""
    image_uri: str = ""
    base_image: str = ""
    input_kms_key_arn: str = ""
    cpu_architecture: str = ARM64
    network: str = PUBLIC
    share_network: bool = False
    vpc_id: str = ""
    subnet_ids: tuple[str, ...] = ()
    public_addresses: bool = False
    az_count: int = 2
    availability_zones: tuple[str, ...] = ()
    spot: bool = True
    small_task_vcpu: float = 1.0
    medium_task_vcpu: float = 2.0
    large_task_vcpu: float = 4.0
    small_mib: int = 64
    split_above_mib: int = 8192
    range_mib: int = 2048
    batch_files: int = 1000
    batch_mib: int = 1024
    batch_window_s: int = 5
    batch_concurrency: int = 8
    one_task_mib: int = 0
    days_per_task: int = 31
    max_parallel_tasks: int = 32
    execution_timeout_hours: int = 12
    warm_service: bool = False
    warm_min_tasks: int = 1
    warm_max_tasks: int = 4
    log_retention_days: int = 30
    archive_after_days: int = 30
    expire_after_days: int = 0
    sweep_schedule: str = "rate(15 minutes)"
    sweep_min_age_minutes: int = 5
    uncommitted_alarm_minutes: int = 120
    audit_sample_days: int = 3
    audit_schedule: str = "cron(0 4 * * ? *)"
    maintain_schedule: str = "cron(30 3 * * ? *)"
    iceberg_tables: bool = False
    reject_rate_alarm: float = 0.05
    lag_alarm_minutes: int = 60
    success_within_hours: int = 0
    athena_scan_limit_gib: int = 10

    @property
    def prefix(self) -> str:
        """Prefix of resource names; the URL of the worker's state is `dynamodb://<prefix>`."""
        return f"shopkpi-{self.stage}"

    @property
    def database(self) -> str:
        """Name of the Glue database."""
        return self.prefix.replace("-", "_")

    @property
    def contract_definition(self) -> Contract:
        return built_in(self.contract)

    @property
    def has_patterns(self) -> bool:
        """Whether patterns of the contract, not folders, say what an object feeds."""
        return self.contract_definition.shop is not None

    @property
    def incoming_folders(self) -> tuple[str, ...]:
        """Key prefixes in the input bucket below which every object is an upload.

        One for each dataset. Where the contract has patterns it is `incoming_prefix` alone, since
        an object that no pattern matches is refused by name.
        """
        if self.has_patterns:
            return (self.incoming_prefix,)
        return tuple(self.folder_of(name) for name in self.contract_definition.datasets)

    def folder_of(self, dataset: str) -> str:
        """Return the key prefix of a dataset in the input bucket, which ends in `/`."""
        return f"{self.incoming_prefix}{self.contract_definition.datasets[dataset].folder}/"
