"""Rights of the roles: each action that its task needs, and no other."""

from __future__ import annotations

from tests.unit.infra.templates import Template, statements, topic

READ = {"BatchGetItem", "GetItem", "Query"}
COMMIT = {"ConditionCheckItem", "PutItem"}


def on_table(actions: set[str], *tables: str) -> set[tuple[str, str]]:
    return {(f"dynamodb:{action}", f"Tables{table}") for action in actions for table in tables}


HOLD = ("ChangeMessageVisibility", "GetQueueAttributes")


def on_queue(*actions: str) -> set[tuple[str, str]]:
    return {(f"sqs:{action}", "UploadsQueue") for action in actions}


def rights(template: Template, role: str) -> set[tuple[str, str]]:
    """Return the rights of a role; resources come without account and logical id hash."""
    return {(action, shorten(resource)) for action, resource in template.rights(role)}


def shorten(resource: str) -> str:
    name = resource.rsplit("arn:", 1)[-1].rsplit(":::", 1)[-1]
    name, slash, rest = name.partition("/")
    if name.startswith(("Buckets", "Tables", "Uploads")):
        name = name[:-8]
    return f"{name}{slash}{rest}"


def test_each_task_may_do_what_it_does_and_no_more(template: Template) -> None:
    put = ("s3:AbortMultipartUpload", "s3:PutObject")
    get = ("s3:GetObject", "s3:GetObjectVersion")
    assert rights(template, "ComputeValidateRole") == {
        *((action, "BucketsInput/*") for action in get),
        *((action, "BucketsClean/*") for action in (*get, *put, "s3:DeleteObject")),
        ("s3:ListBucket", "BucketsInput"),
        ("s3:ListBucket", "BucketsClean"),
        *on_table(READ | COMMIT, "Ledger"),
        *on_queue(*HOLD, "DeleteMessage", "ReceiveMessage"),
        *((f"sqs:{action}", "UploadsDeadLetters") for action in ("GetQueueUrl", "SendMessage")),
    }
    assert rights(template, "ComputeTransformRole") == {
        *((action, "BucketsClean/*") for action in get),
        *((action, "BucketsClean/plans/*") for action in put),
        *(
            (action, f"BucketsClean/{folder}/*")
            for action in (*put, "s3:DeleteObject")
            for folder in ("index", "packs")
        ),
        ("s3:ListBucket", "BucketsClean"),
        *on_table(READ | {"PutItem"}, "Ledger"),
        *on_table(READ | {"PutItem", "DeleteItem"}, "OrderKpis", "CategoryKpis", "ProductKpis"),
        # Items of kind `kpi_waiting` alone, see the next test.
        *on_table({"DeleteItem"}, "Ledger"),
        *on_queue(*HOLD),
    }
    assert rights(template, "ComputeMaintainRole") == {
        *((action, "BucketsClean/*") for action in (*get, "s3:DeleteObject")),
        *((action, "BucketsClean/index/*") for action in put),
        ("s3:ListBucket", "BucketsClean"),
        *on_table(READ, "Ledger"),
    }
    assert rights(template, "ComputeArchiveRole") == {
        *(
            (action, "BucketsInput/*")
            for action in (*get, "s3:DeleteObject", "s3:DeleteObjectVersion")
        ),
        *(
            (action, f"BucketsArchive/{folder}/*")
            for action in ("s3:GetObject", *put)
            for folder in ("archive", "quarantine")
        ),
        ("s3:ListBucket", "BucketsInput"),
        ("s3:ListBucket", "BucketsArchive"),
        *((action, "BucketsClean/plans/*") for action in get),
        *on_table(READ, "Ledger"),
        *on_queue(*HOLD, "DeleteMessage"),
    }


def test_no_task_may_delete_a_record_of_the_ledger(template: Template) -> None:
    deleting = [
        statement
        for policy in template.of_type("AWS::IAM::Policy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if "dynamodb:DeleteItem" in str(statement["Action"])
        and "Ledger" in str(statement["Resource"])
    ]
    assert deleting
    for statement in deleting:
        assert statement["Action"] == "dynamodb:DeleteItem"
        assert statement["Condition"] == {
            "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["kpi_waiting", "*#kpi_waiting"]}
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


# Actions that have no resource type in the service authorization reference.
WITHOUT_RESOURCE = {
    "cloudwatch:PutMetricData",
    "ecr:GetAuthorizationToken",
    # A task has no ARN before it runs; the L2 construct adds these for `ecs:runTask.sync`.
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


def test_the_warm_service_has_the_rights_of_both_tasks(full: Template) -> None:
    queue = {
        (action, resource)
        for action, resource in full.rights("ComputeServeRole")
        if action.startswith(("sqs:", "states:")) and "Uploads" not in resource
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
    sends = {r for a, r in full.rights("BatchesStateMachineRole") if a == "sqs:SendMessage"}
    assert [resource[:13] for resource in sends] == ["arn:WarmQueue"]
