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

from infra.settings import (
    CPU_ARCHITECTURES,
    ECR_IMAGE,
    EXISTING,
    KPIS,
    LOG_RETENTION_DAYS,
    NETWORKS,
    PINNED_IMAGE,
    VCPUS,
    Settings,
)
from kpi.contract.loading import built_in_names, layout_names

PRINCIPAL = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:(root|(role|user)/[\w+=,.@/-]+)")
SUBNET = re.compile(r"subnet-[0-9a-f]{8,17}")
SCHEDULE = re.compile(r"(rate|cron)\([^()]+\)")


@dataclass(frozen=True)
class TextRule:
    """Form of a text setting, and the words for it in an error."""

    pattern: re.Pattern[str]
    expected: str
    may_be_empty: bool = True


KMS_KEY = TextRule(
    re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+"),
    "the ARN of a KMS key, arn:aws:kms:REGION:ACCOUNT:key/ID (no alias)",
)

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
    "input_bucket": TextRule(re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"), "a bucket's name"),
    "input_kms_key_arn": KMS_KEY,
    "bucket_kms_key_arn": KMS_KEY,
    "topic_arn": TextRule(
        re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}"),
        "the ARN of a standard SNS topic, arn:aws:sns:REGION:ACCOUNT:NAME",
    ),
    "permissions_boundary_arn": TextRule(
        re.compile(r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+"),
        "the ARN of a managed policy, arn:aws:iam::ACCOUNT:policy/NAME",
    ),
    "vpc_id": TextRule(re.compile(r"vpc-[0-9a-f]{8,17}"), "the id of a VPC, vpc-..."),
    "sweep_schedule": TextRule(SCHEDULE, "rate(...) or cron(...)", False),
    "audit_schedule": TextRule(SCHEDULE, "rate(...) or cron(...)", False),
    "maintain_schedule": TextRule(SCHEDULE, "rate(...) or cron(...)", False),
}


class SettingsError(Exception):
    """Settings that cannot be deployed; `problems` lists all of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n  ".join(["These settings cannot be deployed:", *problems]))
        self.problems = problems


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
    values.setdefault("termination_protection", is_prod)
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
    expect(
        "cpu_architecture",
        settings.cpu_architecture in CPU_ARCHITECTURES,
        f"one of {', '.join(CPU_ARCHITECTURES)}",
    )
    expect("network", settings.network in NETWORKS, f"one of {', '.join(NETWORKS)}")
    problems += [*_problems_of_an_existing_network(settings), *_problems_of_what_exists(settings)]
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


def _problems_of_what_exists(settings: Settings) -> list[str]:
    """Return what contradicts an existing bucket or topic, which the stack leaves as it is."""
    problems = [
        f"uploader_principals: expected ARNs of IAM roles, users or accounts (:root), got {one!r}"
        for one in settings.uploader_principals
        if not PRINCIPAL.fullmatch(one)
    ]
    if settings.input_bucket and settings.uploader_principals:
        problems.append(
            "uploader_principals: expected none with input_bucket, whose policy is yours, got "
            f"{settings.uploader_principals!r}"
        )
    if settings.topic_arn and settings.alarm_email:
        problems.append(
            "alarm_email: expected none with topic_arn, whose subscriptions are yours, got "
            f"{settings.alarm_email!r}"
        )
    return problems


def _problems_of_an_existing_network(settings: Settings) -> list[str]:
    """Return what is missing for `network` = `existing`, or given although it is another one."""
    given = {
        "vpc_id": settings.vpc_id,
        "subnet_ids": settings.subnet_ids,
        "public_addresses": settings.public_addresses,
    }
    if settings.network != EXISTING:
        return [
            f"{name}: expected only with network={EXISTING}, got {value!r}"
            for name, value in given.items()
            if value
        ]
    problems = []
    if not settings.vpc_id:
        problems.append(f"vpc_id: expected the id of a VPC with network={EXISTING}, got none")
    if not settings.subnet_ids or not all(map(SUBNET.fullmatch, settings.subnet_ids)):
        problems.append(
            f"subnet_ids: expected subnet-... of the VPC, one or more, got {settings.subnet_ids!r}"
        )
    if settings.share_network:
        problems.append("share_network: expected false where the VPC is another stack's, got True")
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
