"""Read and check the settings of a deployment.

They come from the CDK context: `-c name=value` on the command line (text) or the `context` of
`cdk.json` (text, numbers, booleans, lists). `docs/deploy.md` lists them.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kpi.aggregation.tables import KPI_TABLES
from kpi.contract.loading import built_in, built_in_names, layout_names
from kpi.contract.model import Contract

MIB = 2**20

VCPUS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Task sizes of Fargate; each allows the 2 GiB of memory per vCPU that tasks get."""

# Retention periods that CloudWatch Logs accepts (API reference, PutRetentionPolicy).
LOG_RETENTION_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827)

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
SCHEDULE = re.compile(r"(rate|cron)\([^()]+\)")


@dataclass(frozen=True)
class TextRule:
    """Form of a text setting, and the words for it in an error."""

    pattern: re.Pattern[str]
    expected: str
    may_be_empty: bool = True


TEXT_RULES: Mapping[str, TextRule] = {
    "stage": TextRule(
        re.compile(r"[a-z][a-z0-9-]{0,11}"), "a-z, 0-9 and -, 12 characters at most", False
    ),
    "alarm_email": TextRule(re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+"), "an e-mail address"),
    "incoming_prefix": TextRule(re.compile(r"([^/\s]+/)*"), "folders, each ending in '/'"),
    "image_uri": TextRule(
        ECR_IMAGE,
        "an image in Amazon ECR with a tag or a digest, "
        "ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG (tasks reach no other registry)",
    ),
    "base_image": TextRule(PINNED_IMAGE, "an image pinned by digest, NAME:TAG@sha256:DIGEST"),
    "input_kms_key_arn": TextRule(
        re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+"),
        "the ARN of a KMS key, arn:aws:kms:REGION:ACCOUNT:key/ID (no alias)",
    ),
    "sweep_schedule": TextRule(SCHEDULE, "rate(...) or cron(...)", False),
    "audit_schedule": TextRule(SCHEDULE, "rate(...) or cron(...)", False),
    "maintain_schedule": TextRule(SCHEDULE, "rate(...) or cron(...)", False),
}


def cpu_units(vcpu: float) -> int:
    """Convert vCPUs to the CPU units of ECS: 1024 a vCPU."""
    return int(vcpu * 1024)


class SettingsError(Exception):
    """Settings that cannot be deployed; `problems` lists all of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n  ".join(["These settings cannot be deployed:", *problems]))
        self.problems = problems


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one deployment.

    Attributes:
        stage: Names the deployment: tables are `shopkpi-<stage>-...`.
        retain_data: Keep buckets and tables when the stack is deleted. Default: true for stage
            `prod`.
        protect_tables: Let DynamoDB refuse to delete the tables; for the second deployment, since
            a creation that rolls back could not delete them.
        alarm_email: Receives refusals, failures and alarms; empty for nobody.
        contract: Name of a contract that is part of the image: the first accepted file adopts it;
            later another one is only proposed.
        adopt: Whether a deployment starts the adoption of `contract`, if another one is in force.
        kpis: KPIs that are computed.
        incoming_prefix: Where uploads are in the input bucket; ends in `/` or is empty.
        image_uri: Image in Amazon ECR to run instead of building the Dockerfile; empty to build.
        base_image: Base image of the build, pinned by digest; empty for that of the Dockerfile.
        input_kms_key_arn: Customer managed KMS key that uploads are encrypted with, if any.
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
    protect_tables: bool = False
    alarm_email: str = ""
    contract: str = "default"
    adopt: bool = False
    kpis: tuple[str, ...] = ("order", "category")
    incoming_prefix: str = ""
    image_uri: str = ""
    base_image: str = ""
    input_kms_key_arn: str = ""
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


def read_settings(context: Mapping[str, object]) -> Settings:
    """Read settings from a CDK context.

    Args:
        context: Name -> value; the CDK's own names (with `:` or `@`, or `aws-cdk...`) are skipped.

    Raises:
        SettingsError: At least one setting is unknown or wrong; it lists all of them.
    """
    own = {name: value for name, value in context.items() if not _is_cdk(name)}
    types_of = typing.get_type_hints(Settings)
    problems = [
        f"{name}: there is no such setting; there are: {', '.join(types_of)}"
        for name in own
        if name not in types_of
    ]
    values: dict[str, object] = {}
    for name in [name for name in types_of if name in own]:
        try:
            values[name] = _convert(own[name], types_of[name])
        except ValueError as error:
            problems.append(f"{name}: {error}, got {own[name]!r}")
    is_prod = values.get("stage") == "prod"
    values.setdefault("retain_data", is_prod)
    values.setdefault("success_within_hours", 24 if is_prod else 0)
    settings = Settings(**values)  # type: ignore[arg-type]  # _convert gave each its type
    # A value that could not be read is left at its default, which adds no second problem.
    problems += _problems(settings)
    if problems:
        raise SettingsError(problems)
    return settings


def _is_cdk(name: str) -> bool:
    return ":" in name or "@" in name or name.startswith(("aws-cdk", "aws:", "cli-"))


def _convert(value: object, target: object) -> object:
    """Convert `value` to a bool, int, float, str or tuple of str; parse it where it is text."""
    if isinstance(target, types.GenericAlias):
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise ValueError("expected a list of texts (a,b,c on the command line)")
        return tuple(item.strip() for item in items if item.strip())
    if target is bool:
        if isinstance(value, bool) or value in ("true", "false"):
            return value in (True, "true")
        raise ValueError("expected true or false")
    if target in (int, float):
        number: Callable[[str], float] = int if target is int else float
        try:
            if not isinstance(value, bool):
                return number(str(value))
        except ValueError:
            pass
        raise ValueError("expected a whole number" if target is int else "expected a number")
    if not isinstance(value, str):
        raise ValueError("expected text")
    return value


def _problems(settings: Settings) -> list[str]:
    problems: list[str] = []

    def expect(name: str, fine: bool, expected: str) -> None:
        if not fine:
            problems.append(f"{name}: expected {expected}, got {getattr(settings, name)!r}")

    for name, rule in TEXT_RULES.items():
        value = getattr(settings, name)
        fine = (rule.may_be_empty and not value) or bool(rule.pattern.fullmatch(value))
        expect(name, fine, rule.expected)
    known = (*built_in_names(), *layout_names())
    expect("contract", settings.contract in known, f"one of {', '.join(known)}")
    expect(
        "kpis",
        bool(settings.kpis) and set(settings.kpis) <= set(KPIS),
        f"one or more of {', '.join(KPIS)}",
    )
    zones = settings.availability_zones
    expect("az_count", 1 <= settings.az_count <= 3, "1 to 3")
    expect("availability_zones", not zones or len(zones) <= 3, "at most 3 names")
    for name in ("small_task_vcpu", "medium_task_vcpu", "large_task_vcpu"):
        expect(name, getattr(settings, name) in VCPUS, f"one of {', '.join(map(str, VCPUS))}")
    retention = settings.log_retention_days
    expect("log_retention_days", retention in LOG_RETENTION_DAYS, f"one of {LOG_RETENTION_DAYS}")
    expect("reject_rate_alarm", 0 < settings.reject_rate_alarm <= 1, "above 0, at most 1")
    for name, (low, high) in LIMITS.items():
        expect(name, low <= getattr(settings, name) <= high, f"{low} to {high}")
    ordered = settings.small_mib < settings.range_mib <= settings.split_above_mib
    expect("range_mib", ordered, "small_mib < range_mib <= split_above_mib")
    fits = settings.warm_min_tasks <= settings.warm_max_tasks
    expect("warm_max_tasks", fits, "at least warm_min_tasks")
    expire = settings.expire_after_days
    late = expire == 0 or expire > settings.archive_after_days
    expect("expire_after_days", late, "0 or more than archive_after_days")
    return problems


# Step Functions runs at most 10,000 children of a Distributed Map at once (quotas page); a new ECS
# account may run far fewer tasks. A Standard execution may take a year; here a day is the limit.
LIMITS: Mapping[str, tuple[int, int]] = {
    "small_mib": (1, 1024),
    "range_mib": (2, 65_536),
    "split_above_mib": (2, 5 * 2**20),
    "batch_files": (1, 10_000),
    "batch_mib": (1, 65_536),
    "batch_window_s": (1, 300),
    "batch_concurrency": (1, 500),
    "one_task_mib": (0, 65_536),
    "days_per_task": (1, 3660),
    "max_parallel_tasks": (1, 1000),
    "execution_timeout_hours": (1, 24),
    "warm_min_tasks": (0, 100),
    "warm_max_tasks": (1, 100),
    "archive_after_days": (0, 3650),
    "expire_after_days": (0, 36_500),
    "sweep_min_age_minutes": (0, 10_080),
    "uncommitted_alarm_minutes": (1, 10_080),
    "audit_sample_days": (0, 3660),
    "lag_alarm_minutes": (1, 1440),
    "success_within_hours": (0, 24),
    "athena_scan_limit_gib": (1, 10_000),
}
