"""What the template must say: data is safe, roles may do what they need, states cannot hang."""

from __future__ import annotations

import json
from typing import Any

import click
import pyarrow as pa
import pytest

from infra.lake import hive_type
from infra.settings import LOG_RETENTION_DAYS, Settings
from kpi.contract import built_in
from kpi.layout import clean_schema
from kpi.tables import KPI_TABLES, LEDGER_PARTITION_KEY, LEDGER_SORT_KEY
from kpi.uuids import UUID
from tests.infra.templates import ROOT, Json, Template, resolve, statements
from worker.cli.scale import audit as audit_command
from worker.cli.serve import serve
from worker.metrics import UNITS
from worker.serve import Pace

READ = {"BatchGetItem", "GetItem", "Query"}
WRITE = {"ConditionCheckItem", "PutItem", "UpdateItem"}


def on_table(actions: set[str], *tables: str) -> set[tuple[str, str]]:
    return {(f"dynamodb:{action}", f"Tables{table}") for action in actions for table in tables}


def rights(template: Template, role: str) -> set[tuple[str, str]]:
    """Rights of a role with short resources: no account, no hash behind a logical id."""
    return {(action, shorten(resource)) for action, resource in template.rights(role)}


def shorten(resource: str) -> str:
    name = resource.rsplit("arn:", 1)[-1].rsplit(":::", 1)[-1]
    name, slash, rest = name.partition("/")
    if name.startswith(("Buckets", "Tables")):
        name = name[:-8]
    return f"{name}{slash}{rest}"


def test_buckets_are_private_encrypted_and_clean_up_behind_uploads(template: Template) -> None:
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


def test_only_the_input_bucket_tells_of_its_objects(template: Template) -> None:
    telling = [
        name
        for name, bucket in template.of_type("AWS::S3::Bucket").items()
        if "NotificationConfiguration" in bucket["Properties"]
    ]
    assert [name.startswith("BucketsInput") for name in telling] == [True]
    # A Lambda function would mean that the L2 property was used, which deploys one.
    assert not template.of_type("AWS::Lambda::Function")


def test_processed_objects_grow_cold_and_go_when_asked(template: Template, full: Template) -> None:
    (cold,) = archive_rules(template)
    assert cold["Transitions"] == [{"StorageClass": "GLACIER_IR", "TransitionInDays": 30}]
    assert "ExpirationInDays" not in cold
    (dying,) = archive_rules(full)
    assert dying["ExpirationInDays"] == 730


def archive_rules(template: Template) -> list[Json]:
    rules = template.named("BucketsArchive", "AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    return [rule for rule in rules if rule.get("Prefix") == "archive/"]


def test_data_outlives_the_stack_where_it_must(template: Template, full: Template) -> None:
    for kind in ("AWS::S3::Bucket", "AWS::DynamoDB::Table"):
        assert {one["DeletionPolicy"] for one in template.of_type(kind).values()} == {"Delete"}
        assert {one["DeletionPolicy"] for one in full.of_type(kind).values()} == {"Retain"}
    for deployment, protected in ((template, False), (full, True)):
        for table in deployment.of_type("AWS::DynamoDB::Table").values():
            assert table["Properties"]["DeletionProtectionEnabled"] is protected


def test_tables_have_the_keys_and_indexes_that_kpi_defines(template: Template) -> None:
    expected: dict[str, Any] = {
        f"shopkpi-dev-{table.name}": (
            [table.partition_key, *([table.group_key] if table.group_key else [])],
            {index.name: [index.partition_key, index.sort_key] for index in table.indexes},
        )
        for table in KPI_TABLES.values()
    }
    expected["shopkpi-dev-ledger"] = ([LEDGER_PARTITION_KEY, LEDGER_SORT_KEY], {})
    found = {}
    for table in template.of_type("AWS::DynamoDB::Table").values():
        properties = table["Properties"]
        assert properties["BillingMode"] == "PAY_PER_REQUEST"
        recovery = properties["PointInTimeRecoverySpecification"]
        assert recovery == {"PointInTimeRecoveryEnabled": True}
        assert properties["SSESpecification"] == {"SSEEnabled": True}
        assert {one["AttributeType"] for one in properties["AttributeDefinitions"]} == {"S"}
        indexes = properties.get("GlobalSecondaryIndexes", [])
        assert {index["Projection"]["ProjectionType"] for index in indexes} <= {"ALL"}
        found[properties["TableName"]] = (
            keys(properties["KeySchema"]),
            {index["IndexName"]: keys(index["KeySchema"]) for index in indexes},
        )
    assert found == expected


def keys(schema: list[Json]) -> list[str]:
    assert [key["KeyType"] for key in schema] == ["HASH", "RANGE"][: len(schema)]
    return [key["AttributeName"] for key in schema]


def test_each_task_may_do_what_it_does_and_no_more(template: Template) -> None:
    put = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject")
    get = ("s3:GetObject", "s3:GetObjectVersion")
    assert rights(template, "ComputeValidateRole") == {
        *((action, "BucketsInput/*") for action in get),
        *((action, "BucketsClean/*") for action in (*get, *put, "s3:DeleteObject")),
        ("s3:ListBucket", "BucketsInput"),
        ("s3:ListBucket", "BucketsClean"),
        *on_table(READ | WRITE, "Ledger"),
    }
    assert rights(template, "ComputeTransformRole") == {
        *((action, "BucketsClean/*") for action in get),
        *((action, "BucketsClean/plans/*") for action in put),
        ("s3:ListBucket", "BucketsClean"),
        *on_table(READ | WRITE, "Ledger"),
        *on_table(READ | WRITE | {"DeleteItem"}, "OrderKpis", "CategoryKpis", "ProductKpis"),
    }
    assert rights(template, "ComputeArchiveRole") == {
        *(
            (action, "BucketsInput/*")
            for action in (*get, "s3:DeleteObject", "s3:DeleteObjectVersion")
        ),
        *(
            (action, f"BucketsArchive/{folder}/*")
            for action in (*get, *put)
            for folder in ("archive", "quarantine")
        ),
        ("s3:ListBucket", "BucketsInput"),
        ("s3:ListBucket", "BucketsArchive"),
        *on_table(READ, "Ledger"),
    }


def test_state_machines_touch_only_their_own_things(template: Template) -> None:
    data = {
        (action, resource)
        for action, resource in rights(template, "IngestStateMachineRole")
        if action.split(":")[0] in ("s3", "dynamodb", "sns")
    }
    assert {(action, shorten_table(resource)) for action, resource in data} == {
        ("dynamodb:GetItem", "table/TablesLedger"),
        ("s3:DeleteObjectVersion", "BucketsInput/*"),
        ("s3:GetObject", "BucketsClean/*"),
        ("s3:GetObjectVersion", "BucketsInput/*"),
        ("s3:GetObjectVersionTagging", "BucketsInput/*"),
        ("s3:ListBucket", "BucketsInput"),
        ("s3:PutObject", "BucketsArchive/archive/*"),
        ("s3:PutObjectTagging", "BucketsArchive/archive/*"),
        ("sns:Publish", topic(template)),
    }
    runnable = {r for a, r in template.rights("IngestStateMachineRole") if a == "ecs:RunTask"}
    assert "*" not in runnable
    assert len(runnable) == 3
    passed = {r for a, r in template.rights("IngestStateMachineRole") if a == "iam:PassRole"}
    assert all(role.startswith("arn:Compute") and "Role" in role for role in passed)


def topic(template: Template) -> str:
    (name,) = template.of_type("AWS::SNS::Topic")
    return name


def shorten_table(resource: str) -> str:
    return resource[resource.index("table/") : -8] if "table/" in resource else resource


def test_no_policy_allows_everything(template: Template, full: Template) -> None:
    for deployment in (template, full):
        for policy in deployment.of_type("AWS::IAM::Policy").values():
            for action, resource in statements(policy["Properties"]["PolicyDocument"]):
                assert "*" not in action, (action, resource)
                if resource == "*":
                    assert action in WITHOUT_RESOURCE, action
        for role in deployment.of_type("AWS::IAM::Role").values():
            assert not role["Properties"].get("ManagedPolicyArns"), "managed policies allow more"


# Actions without resource types in the service authorization reference.
WITHOUT_RESOURCE = {
    "cloudwatch:PutMetricData",
    "ecr:GetAuthorizationToken",
    # Tasks have no ARN before they run; L2's statement for `ecs:runTask.sync`.
    "ecs:DescribeTasks",
    "ecs:StopTask",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "states:SendTaskFailure",
    "states:SendTaskHeartbeat",
    "states:SendTaskSuccess",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}


def test_containers_are_confined(template: Template, full: Template) -> None:
    assert len(template.of_type("AWS::ECS::TaskDefinition")) == 4
    assert len(full.of_type("AWS::ECS::TaskDefinition")) == 5
    for deployment in (template, full):
        for task in deployment.of_type("AWS::ECS::TaskDefinition").values():
            properties = task["Properties"]
            assert properties["RequiresCompatibilities"] == ["FARGATE"]
            assert properties["NetworkMode"] == "awsvpc"
            (container,) = properties["ContainerDefinitions"]
            assert container["ReadonlyRootFilesystem"] is True
            assert container["User"] == "10001:10001"
            assert container["LinuxParameters"]["InitProcessEnabled"] is True
            assert container["StopTimeout"] == 120
            assert "EntryPoint" not in container
            assert [mount["ContainerPath"] for mount in container["MountPoints"]] == ["/tmp"]
            assert "Privileged" not in container


def test_tasks_know_where_everything_is(template: Template, full: Template) -> None:
    assert environment(template) == {
        "SHOPKPI_CONTRACT": "default",
        "SHOPKPI_DEPLOYMENT": "shopkpi-dev",
        "SHOPKPI_KPIS": "order,category",
        "SHOPKPI_METRICS_NAMESPACE": "shopkpi",
        "SHOPKPI_STATE": "dynamodb://shopkpi-dev",
        "SHOPKPI_WORKSPACE": "s3://BucketsClean",
    }
    assert environment(full)["SHOPKPI_STATE"] == "dynamodb://shopkpi-prod"
    assert environment(full)["SHOPKPI_CONTRACT"] == "olist"
    assert environment(full)["SHOPKPI_KPIS"] == "order,category,product"


def environment(template: Template) -> dict[str, str]:
    (container,) = template.named("ComputeValidate", "AWS::ECS::TaskDefinition")[
        "ContainerDefinitions"
    ]
    values = {one["Name"]: resolve(one["Value"]) for one in container["Environment"]}
    values["SHOPKPI_WORKSPACE"] = values["SHOPKPI_WORKSPACE"][:-8]
    return values


EGRESS = {("0.0.0.0/0", 443), ("255.255.255.255/32", 86)}


def test_nothing_is_reachable_from_the_internet(template: Template, full: Template) -> None:
    for deployment in (template, full):
        for kind in ("InternetGateway", "NatGateway", "EIP"):
            assert not deployment.of_type(f"AWS::EC2::{kind}")
        for subnet in deployment.of_type("AWS::EC2::Subnet").values():
            assert subnet["Properties"]["MapPublicIpOnLaunch"] is False
        for group in deployment.of_type("AWS::EC2::SecurityGroup").values():
            assert "SecurityGroupIngress" not in group["Properties"]
            # HTTPS out, or nothing: the CDK says nothing with a rule that matches no address.
            (out,) = group["Properties"]["SecurityGroupEgress"]
            assert (out["CidrIp"], out.get("ToPort")) in EGRESS
        for rule in deployment.of_type("AWS::EC2::SecurityGroupIngress").values():
            assert "SourceSecurityGroupId" in rule["Properties"]
            assert rule["Properties"]["ToPort"] == 443


def test_tasks_reach_the_services_that_they_need(template: Template, full: Template) -> None:
    assert endpoints(template) == {"s3", "dynamodb", "ecr.api", "ecr.dkr", "logs"}
    assert endpoints(full) == endpoints(template) | {"sqs", "states"}


def endpoints(template: Template) -> set[str]:
    return {
        resolve(one["Properties"]["ServiceName"]).removeprefix("com.amazonaws.eu-central-1.")
        for one in template.of_type("AWS::EC2::VPCEndpoint").values()
    }


def test_the_rule_listens_to_the_datasets_and_keeps_what_fails(
    template: Template, full: Template
) -> None:
    rule = template.named("IntakeObjectCreated", "AWS::Events::Rule")
    assert resolve(rule["EventPattern"]["detail"]["object"]["key"]) == [
        {"prefix": "orders/"},
        {"prefix": "order_items/"},
        {"prefix": "products/"},
    ]
    (target,) = rule["Targets"]
    assert target["RetryPolicy"] == {
        "MaximumEventAgeInSeconds": 86400,
        "MaximumRetryAttempts": 185,
    }
    assert resolve(target["DeadLetterConfig"]["Arn"]).startswith("arn:NotificationsDeadLetters")
    assert resolve(target["Arn"]).startswith("IntakeStateMachine")
    prefixed = full.named("IntakeObjectCreated", "AWS::Events::Rule")["EventPattern"]
    assert prefixed["detail"]["object"]["key"][0] == {"prefix": "incoming/orders/"}


def test_every_log_group_forgets(template: Template, full: Template) -> None:
    for deployment in (template, full):
        for group in deployment.of_type("AWS::Logs::LogGroup").values():
            assert group["Properties"]["RetentionInDays"] == Settings().log_retention_days
    assert Settings().log_retention_days in LOG_RETENTION_DAYS


def test_alarms_reach_somebody(template: Template, full: Template) -> None:
    for deployment in (template, full):
        for name, alarm in deployment.of_type("AWS::CloudWatch::Alarm").items():
            if name.startswith("WarmWake"):
                continue
            told = alarm["Properties"]["AlarmActions"]
            assert told == [{"Ref": topic(deployment)}], name
            assert alarm["Properties"]["AlarmDescription"], name
    (subscription,) = full.of_type("AWS::SNS::Subscription").values()
    assert subscription["Properties"]["Protocol"] == "email"
    assert subscription["Properties"]["Endpoint"] == "operator@example.com"
    assert not template.of_type("AWS::SNS::Subscription")


def test_alarms_cover_what_can_go_wrong(template: Template, full: Template) -> None:
    expected = {
        *(
            f"{machine}{kind}"
            for machine in ("Ingest", "Intake", "Sweep")
            for kind in ("Failed", "TimedOut", "Throttled")
        ),
        *(f"{table}Throttled" for table in ("Ledger", "OrderKpis", "CategoryKpis", "ProductKpis")),
        "AuditDifferences",
        "DeadLetters",
        "Lag",
        "RejectRate",
        "TaskExits",
        "Uncommitted",
    }
    assert alarms(template) == expected
    assert alarms(full) == expected | {"NoSuccess"}


def test_every_alarm_is_explained(full: Template) -> None:
    guide = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    assert not {name for name in alarms(full) if f"`{name}`" not in guide}


def alarms(template: Template) -> set[str]:
    names = template.of_type("AWS::CloudWatch::Alarm")
    return {name.removeprefix("Alarms")[:-8] for name in names if name.startswith("Alarms")}


def test_dashboard_and_alarms_show_what_the_worker_reports(template: Template) -> None:
    shown: set[tuple[str, str]] = set()
    for alarm in template.of_type("AWS::CloudWatch::Alarm").values():
        for query in alarm["Properties"].get("Metrics", []):
            metric = query.get("MetricStat", {}).get("Metric", {})
            if metric.get("Namespace") == "shopkpi":
                values = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
                shown.add((values["event"], metric["MetricName"]))
    (dashboard,) = template.of_type("AWS::CloudWatch::Dashboard").values()
    for widget in json.loads(resolve(dashboard["Properties"]["DashboardBody"]))["widgets"]:
        for namespace, name, *dimensions in widget["properties"].get("metrics", []):
            if namespace == "shopkpi":
                assert dimensions[:3:2] == ["deployment", "event"]
                assert dimensions[1] == environment(template)["SHOPKPI_DEPLOYMENT"]
                shown.add((dimensions[3], name))
    reported = {(event, name) for event, fields in UNITS.items() for name in fields}
    assert len(shown) >= 7
    assert shown <= reported


@pytest.mark.parametrize("dataset", ["orders", "order_items", "products"])
def test_the_lake_has_the_columns_of_the_clean_zone(
    template: Template, full: Template, dataset: str
) -> None:
    for deployment, contract in ((template, "default"), (full, "olist")):
        (table,) = [
            one["Properties"]["TableInput"]
            for one in deployment.of_type("AWS::Glue::Table").values()
            if one["Properties"]["TableInput"]["Name"] == dataset
        ]
        columns = table["StorageDescriptor"]["Columns"]
        schema = clean_schema(built_in(contract).datasets[dataset])
        assert [column["Name"] for column in columns] == schema.names
        assert [column["Type"] for column in columns] == [hive_type(one.type) for one in schema]
        assert table["Parameters"]["projection.enabled"] == "true"
        location = resolve(table["Parameters"]["storage.location.template"])
        assert location.endswith(f"/clean/{dataset}/uploaded_on=${{uploaded_on}}/")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (pa.int64(), "bigint"),
        (pa.string(), "string"),
        (UUID, "binary"),
        (pa.dictionary(pa.int32(), pa.string()), "string"),
        (pa.decimal128(15, 2), "decimal(15,2)"),
        (pa.timestamp("us", tz="UTC"), "timestamp"),
        (pa.map_(pa.string(), pa.string()), "map<string,string>"),
        (
            pa.list_(pa.struct([pa.field("reason", pa.string())])),
            "array<struct<reason:string>>",
        ),
    ],
)
def test_types_have_their_names_in_glue(kind: pa.DataType, name: str) -> None:
    assert hive_type(kind) == name


def test_a_type_that_glue_would_misread_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a type of the clean zone, got float"):
        hive_type(pa.float32())


def test_athena_queries_have_a_limit(template: Template) -> None:
    (group,) = template.of_type("AWS::Athena::WorkGroup").values()
    configuration = group["Properties"]["WorkGroupConfiguration"]
    assert configuration["BytesScannedCutoffPerQuery"] == 10 * 2**30
    assert configuration["EnforceWorkGroupConfiguration"] is True


def test_the_sweep_and_the_audit_come_by_the_clock(template: Template, full: Template) -> None:
    sweep = template.named("SweepSchedule", "AWS::Scheduler::Schedule")
    assert sweep["ScheduleExpression"] == "cron(0 3 * * ? *)"
    assert json.loads(sweep["Target"]["Input"]) == {"again": "<aws.scheduler.execution-id>"}
    assert len(template.of_type("AWS::Scheduler::Schedule")) == 2
    audit = full.named("AuditSchedule", "AWS::Scheduler::Schedule")
    assert audit["ScheduleExpression"] == "cron(0 4 * * ? *)"
    task = full.named("ComputeAudit", "AWS::ECS::TaskDefinition")
    (container,) = task["ContainerDefinitions"]
    assert container["Command"] == ["audit", "--sample", "7"]
    assert audit_command.parse_args(click.Context(audit_command), container["Command"][1:]) == []
    writes = {a for a, _ in full.rights("ComputeAuditRole") if "Put" in a or "Delete" in a}
    assert not writes


def test_an_audit_that_finds_differences_raises_an_alarm(template: Template) -> None:
    # By what it reports; and by its exit code, 3, as any task that ends with another one than 0.
    alarm = template.named("AlarmsAuditDifferences", "AWS::CloudWatch::Alarm")
    (query,) = alarm["Metrics"]
    metric = query["MetricStat"]["Metric"]
    assert (metric["MetricName"], alarm["Threshold"]) == ("differences", 1)
    assert {one["Name"]: one["Value"] for one in metric["Dimensions"]} == {
        "deployment": "shopkpi-dev",
        "event": "audit.finished",
    }
    rule = template.named("AlarmsBadExit", "AWS::Events::Rule")["EventPattern"]["detail"]
    assert rule["containers"] == {"exitCode": [{"anything-but": 0}]}
    assert resolve(rule["clusterArn"])[0].startswith("arn:ComputeCluster")


def test_what_tasks_tell_each_other_is_forgotten(template: Template) -> None:
    rules = template.named("BucketsClean", "AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    expired = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if "Prefix" in rule}
    assert expired == {"plans/": 14, "pieces/": 14}


def test_the_warm_service_may_do_what_both_tasks_may_and_answer(full: Template) -> None:
    queue = {
        (action, resource)
        for action, resource in full.rights("ComputeServeRole")
        if action.startswith(("sqs:", "states:"))
    }
    both = full.rights("ComputeValidateRole") | full.rights("ComputeTransformRole")
    assert full.rights("ComputeServeRole") - queue == both
    assert {(action, resource[:13]) for action, resource in queue} == {
        ("sqs:ChangeMessageVisibility", "arn:WarmQueue"),
        ("sqs:DeleteMessage", "arn:WarmQueue"),
        ("sqs:ReceiveMessage", "arn:WarmQueue"),
        ("states:SendTaskFailure", "*"),
        ("states:SendTaskHeartbeat", "*"),
        ("states:SendTaskSuccess", "*"),
    }
    sends = {r for a, r in full.rights("IngestStateMachineRole") if a == "sqs:SendMessage"}
    assert [resource[:13] for resource in sends] == ["arn:WarmQueue"]


def test_the_warm_service_and_its_queue_agree(full: Template) -> None:
    task = full.named("ComputeServe", "AWS::ECS::TaskDefinition")
    (container,) = task["ContainerDefinitions"]
    name, *words = resolve(container["Command"])
    assert name == "serve"
    given = serve.make_context(name, words).params
    assert given["queue"].startswith("WarmQueue")
    pace = Pace()
    queue = full.named("WarmQueue", "AWS::SQS::Queue")
    assert queue["VisibilityTimeout"] == pace.hidden_s
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 3
    dead = resolve(queue["RedrivePolicy"]["deadLetterTargetArn"])
    assert dead.startswith("arn:NotificationsDeadLetters")
    for state in ("ValidateWarm", "TransformWarm"):
        warm = full.definitions["ingest"]["States"][state]
        # Two heartbeats may be lost, and a message of a killed worker comes back in time.
        assert 3 * pace.beat_s <= warm["HeartbeatSeconds"]
        assert 2 * pace.hidden_s <= warm["HeartbeatSeconds"]
        assert warm["HeartbeatSeconds"] < queue["MessageRetentionPeriod"]
    assert pace.grace_s + pace.release_s < 10 < container["StopTimeout"]
    (policy,) = [
        one["Properties"]["TargetTrackingScalingPolicyConfiguration"]
        for one in full.of_type("AWS::ApplicationAutoScaling::ScalingPolicy").values()
        if one["Properties"]["PolicyType"] == "TargetTrackingScaling"
    ]
    assert policy["TargetValue"] == given["concurrency"]


def test_the_warm_service_follows_its_backlog(full: Template) -> None:
    service = full.named("WarmService", "AWS::ECS::Service")
    assert service["DesiredCount"] == 0
    network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "DISABLED"
    (policy,) = [
        one["Properties"]["TargetTrackingScalingPolicyConfiguration"]
        for one in full.of_type("AWS::ApplicationAutoScaling::ScalingPolicy").values()
        if one["Properties"]["PolicyType"] == "TargetTrackingScaling"
    ]
    metrics = policy["CustomizedMetricSpecification"]["Metrics"]
    assert [metric["Id"] for metric in metrics if metric.get("ReturnData")] == ["backlog_per_task"]
    assert policy["TargetValue"] == 4
    wake = full.named("WarmWake", "AWS::CloudWatch::Alarm")
    assert resolve(wake["AlarmActions"][0]).startswith("WarmStart")
