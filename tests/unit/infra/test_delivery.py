"""Alarms, rules and schedules have the rights to reach what they lead to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.infra.templates import Json, Template, as_list, resolve

ACCOUNT = "123456789012"


@pytest.fixture(params=["template", "full"])
def deployment(request: pytest.FixtureRequest) -> Template:
    found: Template = request.getfixturevalue(request.param)
    return found


def allowing(document: Json, service: str, action: str, resource: str) -> Iterator[Json]:
    """Yield the conditions of each statement that allows a service an action."""
    for statement in document["Statement"]:
        principal = statement["Principal"]
        services = as_list(principal.get("Service", [])) if isinstance(principal, dict) else []
        resources = [resolve(one) for one in as_list(statement["Resource"])]
        if (
            statement["Effect"] == "Allow"
            and service in services
            and action in as_list(statement["Action"])
            and resource in resources
        ):
            yield resolve(statement.get("Condition", {}))


def policies_of(template: Template, kind: str, field: str, name: str) -> Iterator[Json]:
    """Yield the policy documents of a topic or a queue."""
    for policy in template.of_type(kind).values():
        if name in [resolve(one) for one in policy["Properties"][field]]:
            yield policy["Properties"]["PolicyDocument"]


def test_every_alarm_may_publish_to_its_topic(deployment: Template) -> None:
    checked = 0
    for name, alarm in deployment.of_type("AWS::CloudWatch::Alarm").items():
        for action in map(resolve, alarm["Properties"]["AlarmActions"]):
            if action not in deployment.of_type("AWS::SNS::Topic"):
                # It sets the size of a service of this stack; CloudWatch needs no policy for that.
                assert action in deployment.of_type("AWS::ApplicationAutoScaling::ScalingPolicy")
                continue
            documents = list(policies_of(deployment, "AWS::SNS::TopicPolicy", "Topics", action))
            assert len(documents) == 1, "a second policy would replace the first"
            conditions = list(
                allowing(documents[0], "cloudwatch.amazonaws.com", "sns:Publish", action)
            )
            assert conditions == [{"StringEquals": {"aws:SourceAccount": ACCOUNT}}], name
            checked += 1
    assert checked >= 19


def test_the_topic_refuses_what_comes_without_tls(deployment: Template) -> None:
    (policy,) = deployment.of_type("AWS::SNS::TopicPolicy").values()
    denied = [
        (one["Action"], one["Condition"])
        for one in policy["Properties"]["PolicyDocument"]["Statement"]
        if one["Effect"] == "Deny"
    ]
    assert denied == [("sns:Publish", {"Bool": {"aws:SecureTransport": "false"}})]


def may_start(template: Template, role: Any, target: str, action: str) -> bool:
    """Return whether a role has an action on a target."""
    name = role["Fn::GetAtt"][0]
    return (action, target) in template.rights(name)


def test_every_rule_reaches_its_targets(deployment: Template) -> None:
    rules = deployment.of_type("AWS::Events::Rule")
    assert len(rules) == 4
    for name, rule in rules.items():
        assert rule["Properties"].get("State", "ENABLED") == "ENABLED"
        for target in rule["Properties"]["Targets"]:
            check_target(deployment, name, target)
            if "DeadLetterConfig" in target:
                check_dead_letters(deployment, name, target["DeadLetterConfig"]["Arn"])


def check_target(template: Template, rule: str, target: Json) -> None:
    arn = resolve(target["Arn"])
    if arn in template.of_type("AWS::StepFunctions::StateMachine"):
        assert may_start(template, target["RoleArn"], arn, "states:StartExecution"), rule
        return
    if arn.removeprefix("arn:") in template.of_type("AWS::SQS::Queue"):
        check_dead_letters(template, rule, target["Arn"])  # as a queue that it sends to
        return
    group = arn.rsplit(":", 1)[-1]
    assert group in template.of_type("AWS::Logs::LogGroup"), rule
    allowed = [
        statement
        for policy in template.of_type("AWS::Logs::ResourcePolicy").values()
        for statement in policies_in(policy["Properties"]["PolicyDocument"])
        if f"arn:{group}" in statement
        and "events.amazonaws.com" in statement
        and {"logs:CreateLogStream", "logs:PutLogEvents"} <= set(statement.split('"'))
        and '"Effect":"Allow"' in statement
    ]
    assert len(allowed) == 1, rule


def policies_in(document: Any) -> list[str]:
    """Return the statements of a resource policy of CloudWatch Logs, which is a JSON text."""
    text: str = resolve(document)
    return text.split('{"Action"')[1:] if text.count('{"Action"') > 1 else [text]


def check_dead_letters(template: Template, rule: str, queue: Json) -> None:
    name = queue["Fn::GetAtt"][0]
    arns = [
        condition["ArnEquals"]["aws:SourceArn"]
        for document in policies_of(template, "AWS::SQS::QueuePolicy", "Queues", name)
        for condition in allowing(
            document, "events.amazonaws.com", "sqs:SendMessage", f"arn:{name}"
        )
    ]
    assert arns.count(f"arn:{rule}") == 1


def test_every_schedule_may_start_its_target(deployment: Template) -> None:
    schedules = deployment.of_type("AWS::Scheduler::Schedule")
    assert len(schedules) == 4
    for name, schedule in schedules.items():
        target = schedule["Properties"]["Target"]
        arn = resolve(target["Arn"])
        if arn in deployment.of_type("AWS::StepFunctions::StateMachine"):
            assert may_start(deployment, target["RoleArn"], arn, "states:StartExecution"), name
        else:
            task = resolve(target["EcsParameters"]["TaskDefinitionArn"])
            assert may_start(deployment, target["RoleArn"], task, "ecs:RunTask"), name
        queue = resolve(target["DeadLetterConfig"]["Arn"])
        assert may_start(deployment, target["RoleArn"], queue, "sqs:SendMessage"), name
