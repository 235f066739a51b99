"""What an account has already is used as it is; who may upload and read; what is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.settings.reader import SettingsError, read_settings
from tests.unit.infra.conftest import (
    BOUNDARY_ARN,
    INPUT_BUCKET,
    KMS_KEY_ARN,
    TOPIC_ARN,
    UPLOADERS,
)
from tests.unit.infra.templates import Json, Template, resolve, statements

UPLOAD = {"s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}
READ = {"dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"}


def test_an_existing_bucket_takes_the_uploads(hosted: Template) -> None:
    assert not [name for name in hosted.of_type("AWS::S3::Bucket") if "Input" in name]
    policies = hosted.of_type("AWS::S3::BucketPolicy").values()
    assert INPUT_BUCKET not in str([one["Properties"]["Bucket"] for one in policies])
    rules = [
        one["Properties"]["EventPattern"]
        for one in hosted.of_type("AWS::Events::Rule").values()
        if one["Properties"]["EventPattern"]["source"] == ["aws.s3"]
    ]
    assert len(rules) == 2
    assert all(rule["detail"]["bucket"]["name"] == [INPUT_BUCKET] for rule in rules)
    objects = f"arn:aws:s3:::{INPUT_BUCKET}/*"
    assert ("s3:GetObject", objects) in hosted.rights("ComputeValidateRole")
    assert ("s3:DeleteObject", objects) in hosted.rights("ComputeArchiveRole")
    assert hosted.body["Outputs"]["InputBucket"]["Value"] == INPUT_BUCKET


def test_an_existing_topic_gets_every_message(hosted: Template) -> None:
    assert not hosted.of_type("AWS::SNS::Topic")
    assert not hosted.of_type("AWS::SNS::TopicPolicy")
    for alarm in hosted.of_type("AWS::CloudWatch::Alarm").values():
        assert alarm["Properties"]["AlarmActions"] == [TOPIC_ARN]
    assert TOPIC_ARN in json.dumps(hosted.definitions["batches"])


def test_every_role_has_the_boundary(template: Template, hosted: Template) -> None:
    roles = hosted.of_type("AWS::IAM::Role").values()
    assert {one["Properties"]["PermissionsBoundary"] for one in roles} == {BOUNDARY_ARN}
    for one in template.of_type("AWS::IAM::Role").values():
        assert "PermissionsBoundary" not in one["Properties"]


def test_buckets_are_encrypted_with_the_key_that_is_given(hosted: Template) -> None:
    found = {}
    for name, one in hosted.of_type("AWS::S3::Bucket").items():
        (rule,) = one["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        found[name[:-8].removeprefix("Buckets")] = (
            rule["ServerSideEncryptionByDefault"].get("KMSMasterKeyID"),
            rule.get("BucketKeyEnabled", False),
        )
    with_key = (KMS_KEY_ARN, True)
    assert found == {
        "Clean": with_key,
        "Archive": with_key,
        "Results": with_key,
        # S3 delivers access logs to no bucket under a customer's key.
        "AccessLogs": (None, False),
    }


def test_who_reads_or_writes_a_bucket_may_use_its_key(hosted: Template) -> None:
    needs = {"s3:GetObject": "kms:Decrypt", "s3:PutObject": "kms:GenerateDataKey"}
    own = tuple(f"arn:{name}" for name in hosted.of_type("AWS::S3::Bucket"))
    users = 0
    for role in hosted.of_type("AWS::IAM::Role"):
        rights = hosted.rights(role)
        for action, right in needs.items():
            if any(what == action and on.startswith(own) for what, on in rights):
                assert (right, KMS_KEY_ARN) in rights, role
                users += 1
    assert users > 8
    for one in ("OperationsOperators", "AccessUploaders"):
        rights = statements(hosted.named(one, POLICY)["PolicyDocument"])
        assert {(right, KMS_KEY_ARN) for right in needs.values()} <= rights, one
    for document in documents(hosted):
        for statement in document["Statement"]:
            if statement["Resource"] == KMS_KEY_ARN:
                assert statement["Condition"] == {
                    "StringEquals": {"kms:ViaService": "s3.eu-central-1.amazonaws.com"}
                }


def test_uploaders_of_other_accounts_may_put_and_nothing_else(full: Template) -> None:
    (statement,) = [
        one
        for document in documents(full, "AWS::S3::BucketPolicy")
        for one in document["Statement"]
        if one.get("Sid") == "UploadersMayUpload"
    ]
    assert sorted(statement["Principal"]["AWS"]) == sorted(UPLOADERS)
    assert set(statement["Action"]) == UPLOAD
    assert statement["Resource"].endswith("/incoming/*")


def test_policies_are_for_uploaders_and_readers(template: Template) -> None:
    uploaders = statements(template.named("AccessUploaders", POLICY)["PolicyDocument"])
    assert {action for action, _ in uploaders} == UPLOAD
    assert {on.partition("/")[2] for _, on in uploaders} == {
        *("orders/*", "order_items/*", "products/*")
    }
    readers = statements(template.named("AccessReaders", POLICY)["PolicyDocument"])
    assert {action for action, _ in readers} == READ
    tables = {f"arn:{name}" for name in template.of_type("AWS::DynamoDB::Table")}
    assert {on for _, on in readers if "/index/" not in on} == tables
    assert {"UploaderPolicy", "ReaderPolicy", "OperatorPolicy"} <= set(template.body["Outputs"])


def test_prod_keeps_its_logs_and_refuses_its_deletion(
    template: Template, full: Template, template_path: Path, full_path: Path
) -> None:
    for deployment, policy in ((template, "Delete"), (full, "RetainExceptOnCreate")):
        groups = deployment.of_type("AWS::Logs::LogGroup").values()
        assert len(groups) >= 3
        assert {one["DeletionPolicy"] for one in groups} == {policy}
    for path, protected in ((template_path, False), (full_path, True)):
        manifest = json.loads((path.parent / "manifest.json").read_text("utf-8"))
        (stack,) = (
            one["properties"]
            for one in manifest["artifacts"].values()
            if one["type"] == "aws:cloudformation:stack"
        )
        assert stack.get("terminationProtection", False) is protected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"network": "existing"}, "vpc_id: expected the id of a VPC"),
        ({"network": "existing", "vpc_id": "vpc-0123456789abcdef0"}, "subnet_ids: expected"),
        ({"vpc_id": "vpc-0123456789abcdef0"}, "vpc_id: expected only with network=existing"),
        ({"network": "vpn"}, "network: expected one of public, endpoints, existing"),
        ({"cpu_architecture": "arm"}, "cpu_architecture: expected one of ARM64, X86_64"),
        ({"topic_arn": TOPIC_ARN, "alarm_email": "a@example.com"}, "alarm_email: expected none"),
        ({"topic_arn": "operators"}, "topic_arn: expected the ARN of a standard SNS topic"),
        ({"uploader_principals": "shop"}, "uploader_principals: expected ARNs"),
        (
            {"input_bucket": INPUT_BUCKET, "uploader_principals": UPLOADERS[0]},
            "uploader_principals: expected none with input_bucket",
        ),
        ({"permissions_boundary_arn": "developers"}, "permissions_boundary_arn: expected the ARN"),
    ],
)
def test_contradictions_are_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read_settings(given)


POLICY = "AWS::IAM::ManagedPolicy"


def documents(template: Template, kind: str = "AWS::IAM::Policy") -> list[Json]:
    return [resolve(one["Properties"]["PolicyDocument"]) for one in template.of_type(kind).values()]
