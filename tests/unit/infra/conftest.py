"""One synthesis per variant of the settings: these tests share a process (`Distribution`)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.unit.infra.templates import Template

# Node 20 works, though the JSII runtime prints a banner about its end of life.
os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")


ECR_IMAGE_URI = f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/shopkpi@sha256:{'ab' * 32}"
KMS_KEY_ARN = "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
UPLOADERS = ["arn:aws:iam::210987654321:role/shop-export", "arn:aws:iam::123456789012:user/till"]
INPUT_BUCKET = "the-shop-incoming"
TOPIC_ARN = "arn:aws:sns:eu-central-1:123456789012:operators"
BOUNDARY_ARN = "arn:aws:iam::123456789012:policy/bounds/developers"
VPC_ID = "vpc-0123456789abcdef0"
SUBNET_IDS = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]


def synthesize(outdir: Path, context: Mapping[str, object]) -> Path:
    """Synthesize into `outdir` and return the path of the template; fail on cdk-nag findings."""
    from infra.app import build  # noqa: PLC0415  (importing it starts Node)

    build(context, outdir=str(outdir)).synth()
    (template,) = outdir.glob("*.template.json")
    return template


@pytest.fixture(scope="session")
def template_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Template of a deployment with the default settings."""
    return synthesize(tmp_path_factory.mktemp("default"), {})


@pytest.fixture(scope="session")
def template(template_path: Path) -> Template:
    return Template(json.loads(template_path.read_text("utf-8")))


@pytest.fixture(scope="session")
def full_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Template of a deployment with every optional capability."""
    return synthesize(
        tmp_path_factory.mktemp("full"),
        {
            "stage": "prod",
            "alarm_email": "operator@example.com",
            "kpis": "order,category,product",
            "warm_service": "true",
            "warm_min_tasks": "0",
            "audit_sample_days": "7",
            "iceberg_tables": "true",
            "expire_after_days": "730",
            # Of language 2: patterns, not folders, say what an object feeds.
            "contract": "shopify",
            "incoming_prefix": "incoming/",
            "image_uri": ECR_IMAGE_URI,
            "input_kms_key_arn": KMS_KEY_ARN,
            "protect_tables": "true",
            "uploader_principals": ",".join(UPLOADERS),
            "network": "endpoints",
            "share_network": "true",
            "az_count": "3",
        },
    )


@pytest.fixture(scope="session")
def full(full_path: Path) -> Template:
    return Template(json.loads(full_path.read_text("utf-8")))


@pytest.fixture(scope="session")
def hosted_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Template of a deployment that uses what its account has already."""
    return synthesize(
        tmp_path_factory.mktemp("hosted"),
        {
            "stage": "hosted",
            "network": "existing",
            "vpc_id": VPC_ID,
            "subnet_ids": ",".join(SUBNET_IDS),
            "public_addresses": "true",
            "cpu_architecture": "X86_64",
            "one_task_mib": "16",
            "input_bucket": INPUT_BUCKET,
            "bucket_kms_key_arn": KMS_KEY_ARN,
            "topic_arn": TOPIC_ARN,
            "permissions_boundary_arn": BOUNDARY_ARN,
        },
    )


@pytest.fixture(scope="session")
def hosted(hosted_path: Path) -> Template:
    return Template(json.loads(hosted_path.read_text("utf-8")))
