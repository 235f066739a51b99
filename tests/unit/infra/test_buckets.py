"""S3 buckets: private, encrypted, with lifecycle rules."""

from __future__ import annotations

from tests.unit.infra.templates import Json, Template


def test_buckets_are_private_and_abort_unfinished_uploads(template: Template) -> None:
    buckets = template.of_type("AWS::S3::Bucket")
    assert len(buckets) == 5
    for name, bucket in buckets.items():
        properties = bucket["Properties"]
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}, name
        encryption = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert encryption[0]["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}, name
        rules = properties["LifecycleConfiguration"]["Rules"]
        assert {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3}}.items() <= (
            rules[0].items()
        ), name
        is_data = not name.startswith(("BucketsAccessLogs", "BucketsResults"))
        assert ("VersioningConfiguration" in properties) is is_data, name
    policies = template.of_type("AWS::S3::BucketPolicy").values()
    assert {policy["Properties"]["Bucket"]["Ref"] for policy in policies} == set(buckets)
    for policy in policies:
        denied = [
            statement["Condition"]
            for statement in policy["Properties"]["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Deny" and statement["Action"] == "s3:*"
        ]
        assert {"Bool": {"aws:SecureTransport": "false"}} in denied
        assert {"NumericLessThan": {"s3:TlsVersion": 1.2}} in denied


def test_only_the_input_bucket_sends_events(template: Template) -> None:
    telling = [
        name
        for name, bucket in template.of_type("AWS::S3::Bucket").items()
        if "NotificationConfiguration" in bucket["Properties"]
    ]
    assert [name.startswith("BucketsInput") for name in telling] == [True]
    # A Lambda function would mean that the L2 property was used, which deploys one.
    # The one function shows KPIs; none changes notifications, as the CDK would have it.
    assert [one[:-8] for one in template.of_type("AWS::Lambda::Function")] == ["KpiWidgetFunction"]


def test_processed_objects_go_to_glacier_then_expire(template: Template, full: Template) -> None:
    (cold,) = archive_rules(template)
    assert cold["Transitions"] == [{"StorageClass": "GLACIER_IR", "TransitionInDays": 30}]
    assert "ExpirationInDays" not in cold
    (dying,) = archive_rules(full)
    assert dying["ExpirationInDays"] == 730


def archive_rules(template: Template) -> list[Json]:
    rules = template.named("BucketsArchive", "AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    return [rule for rule in rules if rule.get("Prefix") == "archive/"]


def test_plans_and_range_results_expire(template: Template) -> None:
    rules = template.named("BucketsClean", "AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    expired = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "Prefix" in rule}
    assert expired == {"plans/": 14, "pieces/": 14}
