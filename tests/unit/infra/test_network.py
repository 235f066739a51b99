"""Network: isolated subnets, security groups, endpoints."""

from __future__ import annotations

from tests.unit.infra.templates import Template, resolve

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
    assert endpoints(template) == {"s3", "dynamodb", "ecr.api", "ecr.dkr", "logs", "sqs"}
    assert endpoints(full) == endpoints(template) | {"glue", "states"}


def test_every_zone_that_is_asked_for_gets_a_subnet(template: Template, full: Template) -> None:
    for deployment, count in ((template, 2), (full, 3)):
        subnets = deployment.of_type("AWS::EC2::Subnet").values()
        assert len(subnets) == count
        zones = {resolve(subnet["Properties"]["AvailabilityZone"]) for subnet in subnets}
        assert len(zones) == count
        endpoint = deployment.named("NetworkVpcEcrApi", "AWS::EC2::VPCEndpoint")
        assert len(endpoint["SubnetIds"]) == count


def endpoints(template: Template) -> set[str]:
    return {
        resolve(one["Properties"]["ServiceName"]).removeprefix("com.amazonaws.eu-central-1.")
        for one in template.of_type("AWS::EC2::VPCEndpoint").values()
    }
