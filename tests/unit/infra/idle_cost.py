"""What a stage without uploads costs a month, from its template and the table of prices."""

from __future__ import annotations

import math
from collections.abc import Mapping

from benchmarks.prices import load_prices
from tests.unit.infra.templates import Json, Template, as_list, resolve
from worker.reporting.emf import UNITS

HOURS = 730
MINUTES_OF_UNIT = {"minute": 1, "hour": 60, "day": 1440}

IDLE_PATHS = {
    "Batches": ("Begin", "Window", "ListRunning", "HasRoom", "CountFiles", "IsEmpty", "Drained"),
    "Sweep": ("ListOneKey", "IsEmpty", "Swept"),
}
"""States that a scheduled execution goes through where no upload waits."""

FREE = {
    # Nothing is paid for existing. Use is: by upload, query or gigabyte.
    *("ApplicationAutoScaling", "Athena", "CDK", "Events", "Glue", "IAM", "Lambda", "Logs"),
    *("S3", "SNS", "SQS", "DynamoDB", "StepFunctions", "CloudFormation"),
}
FREE_KINDS = {
    *("EC2::VPC", "EC2::Subnet", "EC2::RouteTable", "EC2::SubnetRouteTableAssociation"),
    *("EC2::Route", "EC2::InternetGateway", "EC2::VPCGatewayAttachment", "EC2::FlowLog"),
    *("EC2::SecurityGroup", "EC2::SecurityGroupIngress"),
    *("ECS::Cluster", "ECS::ClusterCapacityProviderAssociations", "ECS::TaskDefinition"),
}


def idle_month(template: Template) -> Mapping[str, float]:
    """Return what is paid for -> US dollars a month of 730 hours; tasks run on demand.

    Raises:
        AssertionError: The template has a kind of resource that nobody has priced.
    """
    costs: dict[str, float] = {}
    for name, one in template.resources.items():
        kind = one["Type"].removeprefix("AWS::")
        for what, dollars in _cost(template, name, kind, one.get("Properties", {})).items():
            costs[what] = costs.get(what, 0.0) + dollars
    return costs


def _cost(template: Template, name: str, kind: str, properties: Json) -> Mapping[str, float]:
    prices = {key: one.price for key, one in load_prices().items()}
    if kind == "EC2::VPCEndpoint":
        if properties["VpcEndpointType"] == "Gateway":
            return {}
        zones = len(properties["SubnetIds"])
        return {"interface endpoints": zones * HOURS * prices["interface_endpoint_hour"]}
    if kind == "CloudWatch::Alarm":
        metrics = properties.get("Metrics", [{"MetricStat": {}}])
        count = sum("MetricStat" in one for one in metrics)
        return {"alarms": count * prices["alarm_metric_month"]}
    if kind == "CloudWatch::Dashboard":
        return {"dashboards": prices["dashboard_month"]}
    if kind == "Scheduler::Schedule":
        return _schedule(template, properties, prices)
    if kind == "ECS::Service":
        task = template.resources[resolve(properties["TaskDefinition"])]["Properties"]
        hours = HOURS * properties["DesiredCount"]
        return {"warm service": _task_hours(task, hours, properties, prices)}
    assert kind.partition("::")[0] in FREE or kind in FREE_KINDS, f"{name}: {kind} has no price"
    return {}


def _schedule(
    template: Template, properties: Json, prices: Mapping[str, float]
) -> Mapping[str, float]:
    times = runs_a_month(properties["ScheduleExpression"])
    target = properties["Target"]
    if "EcsParameters" not in target:
        machine = resolve(target["Arn"]).partition("StateMachine")[0]
        path = IDLE_PATHS[machine]
        return {"schedules": times * len(path) * prices["state_transition"]}
    parameters = target["EcsParameters"]
    task = template.resources[resolve(parameters["TaskDefinitionArn"])]["Properties"]
    # A task is billed for a minute at least; its address here for a whole hour.
    cost = {"nightly tasks": _task_hours(task, times / 60, {}, prices)}
    if "ENABLED" in str(parameters["NetworkConfiguration"]):
        cost["addresses"] = times * prices["public_ipv4_hour"]
    (container,) = task["ContainerDefinitions"]
    if as_list(container["Command"])[0] == "audit":
        metrics = len(UNITS["audit.finished"])
        cost["metrics"] = metrics * times / HOURS * prices["custom_metric_month"]
    return cost


def _task_hours(task: Json, hours: float, service: Json, prices: Mapping[str, float]) -> float:
    machine = "arm" if task["RuntimePlatform"]["CpuArchitecture"] == "ARM64" else "x86"
    an_hour = int(task["Cpu"]) / 1024 * prices[f"fargate_{machine}_vcpu_hour"]
    an_hour += int(task["Memory"]) / 1024 * prices[f"fargate_{machine}_gb_hour"]
    if "ENABLED" in str(service.get("NetworkConfiguration")):
        an_hour += prices["public_ipv4_hour"]
    return hours * an_hour


def runs_a_month(expression: str) -> float:
    """Count the runs of a schedule in a month: `rate(...)`, or a `cron` once a day."""
    form, _, inner = expression.rstrip(")").partition("(")
    if form == "cron":
        minute, hour, *_ = inner.split()
        assert (minute + hour).isdigit(), f"{expression}: more than once a day"
        return HOURS / 24
    count, unit = inner.split()
    return math.floor(HOURS * 60 / int(count) / MINUTES_OF_UNIT[unit.rstrip("s")])
