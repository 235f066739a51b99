"""Warm service: queue, timeouts and scaling."""

from __future__ import annotations

from tests.unit.infra.templates import Template, resolve
from worker.cli.serve import serve
from worker.service.queue_worker import Timings


def test_the_warm_service_and_its_queue_agree(full: Template) -> None:
    task = full.named("ComputeServe", "AWS::ECS::TaskDefinition")
    (container,) = task["ContainerDefinitions"]
    name, *words = resolve(container["Command"])
    assert name == "serve"
    given = serve.make_context(name, words).params
    assert given["queue"].startswith("WarmQueue")
    timings = Timings()
    queue = full.named("WarmQueue", "AWS::SQS::Queue")
    assert queue["VisibilityTimeout"] == timings.visibility_timeout_s
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 3
    dead = resolve(queue["RedrivePolicy"]["deadLetterTargetArn"])
    assert dead.startswith("arn:NotificationsDeadLetters")
    for state in ("ValidateWarm", "TransformWarm"):
        warm = full.definitions["batches"]["States"][state]
        # Two heartbeats may be lost, and a message of a killed worker comes back in time.
        assert 3 * timings.heartbeat_s <= warm["HeartbeatSeconds"]
        assert 2 * timings.visibility_timeout_s <= warm["HeartbeatSeconds"]
        assert warm["HeartbeatSeconds"] < queue["MessageRetentionPeriod"]
    assert timings.grace_s + timings.release_s < 10 < container["StopTimeout"]
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
