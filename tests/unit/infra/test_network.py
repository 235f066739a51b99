"""Network: public subnets, interface endpoints, or a VPC that exists already."""

from __future__ import annotations

from infra.network import CIDR
from tests.unit.infra.conftest import SUBNET_IDS, VPC_ID
from tests.unit.infra.templates import Json, Template, resolve, states

EGRESS = {("0.0.0.0/0", 443), ("255.255.255.255/32", 86)}
LAYERS = "arn:aws:s3:::prod-eu-central-1-starport-layer-bucket/*"


def test_nothing_is_let_in_from_the_internet(
    template: Template, full: Template, hosted: Template
) -> None:
    for deployment in (template, full, hosted):
        for kind in ("NatGateway", "EIP"):
            assert not deployment.of_type(f"AWS::EC2::{kind}")
        for subnet in deployment.of_type("AWS::EC2::Subnet").values():
            assert subnet["Properties"]["MapPublicIpOnLaunch"] is False
        for name, group in deployment.of_type("AWS::EC2::SecurityGroup").items():
            rules = group["Properties"].get("SecurityGroupIngress", [])
            if "Tasks" in name:
                assert not rules
            for rule in rules:
                assert (rule["CidrIp"], rule["ToPort"]) == (CIDR, 443)
            # HTTPS out, or nothing: the CDK says nothing with a rule that matches no address.
            (out,) = group["Properties"]["SecurityGroupEgress"]
            assert (out["CidrIp"], out.get("ToPort")) in EGRESS
        for rule in deployment.of_type("AWS::EC2::SecurityGroupIngress").values():
            assert "SourceSecurityGroupId" in rule["Properties"]
            assert rule["Properties"]["ToPort"] == 443


def test_tasks_have_addresses_where_their_way_is_the_internet(
    template: Template, full: Template, hosted: Template
) -> None:
    for deployment, expected in ((template, "ENABLED"), (full, "DISABLED"), (hosted, "ENABLED")):
        assert {one.get("AssignPublicIp", "DISABLED") for one in networks(deployment)} == {expected}
    assert template.of_type("AWS::EC2::InternetGateway")
    for deployment in (full, hosted):
        assert not deployment.of_type("AWS::EC2::InternetGateway")


def test_tasks_reach_the_services_that_they_need(template: Template, full: Template) -> None:
    assert endpoints(template) == {"s3", "dynamodb"}
    assert endpoints(full) == {
        *("s3", "dynamodb"),
        *("ecr.api", "ecr.dkr", "logs", "sqs", "glue", "states"),
    }


def test_s3_is_reached_for_the_buckets_of_the_stack_alone(
    template: Template, full: Template
) -> None:
    for deployment in (template, full):
        own, layers, *shared = statements_of_s3(deployment)
        buckets = {
            name
            for name in deployment.of_type("AWS::S3::Bucket")
            if not name.startswith(("BucketsAccessLogs", "BucketsResults"))
        }
        assert {name.removeprefix("arn:") for name in own["Resource"]} == {
            *buckets,
            *(f"{name}/*" for name in buckets),
        }
        assert (layers["Action"], layers["Resource"]) == ("s3:GetObject", LAYERS)
        assert len(shared) == (deployment is full)
    (shared_statement,) = statements_of_s3(full)[2:]
    assert shared_statement["Resource"] == "arn:aws:s3:::shopkpi-*"
    assert shared_statement["Condition"] == {
        "StringEquals": {"aws:ResourceAccount": "123456789012"}
    }


def test_a_shared_network_is_named_by_outputs(template: Template, full: Template) -> None:
    assert not {"VpcId", "SubnetIds"} & set(template.body["Outputs"])
    subnets = full.of_type("AWS::EC2::Subnet")
    assert resolve(full.body["Outputs"]["SubnetIds"]["Value"]).split(",") == sorted(subnets)
    assert resolve(full.body["Outputs"]["VpcId"]["Value"]) in full.of_type("AWS::EC2::VPC")


def test_an_existing_network_is_used_as_it_is(hosted: Template) -> None:
    assert of_network(hosted) == {"SecurityGroup"}
    (group,) = hosted.of_type("AWS::EC2::SecurityGroup").values()
    assert group["Properties"]["VpcId"] == VPC_ID
    assert all(one["Subnets"] == SUBNET_IDS for one in networks(hosted))


def test_an_update_leads_from_one_kind_to_the_other_in_place(
    template: Template, full: Template
) -> None:
    # The same logical ids and blocks: a replaced subnet would clash with the block of its former.
    blocks = [
        {
            name: (resolve(one["Properties"]["CidrBlock"]), one["Properties"]["AvailabilityZone"])
            for name, one in deployment.of_type("AWS::EC2::Subnet").items()
        }
        for deployment in (template, full)
    ]
    assert blocks[0].items() <= blocks[1].items()
    assert set(template.of_type("AWS::EC2::VPC")) == set(full.of_type("AWS::EC2::VPC"))


def test_every_zone_that_is_asked_for_gets_a_subnet(template: Template, full: Template) -> None:
    for deployment, count in ((template, 2), (full, 3)):
        subnets = deployment.of_type("AWS::EC2::Subnet").values()
        assert len(subnets) == count
        zones = {resolve(subnet["Properties"]["AvailabilityZone"]) for subnet in subnets}
        assert len(zones) == count
    assert len(full.named("NetworkVpcEcrApi", "AWS::EC2::VPCEndpoint")["SubnetIds"]) == 3


def endpoints(template: Template) -> set[str]:
    return {
        resolve(one["Properties"]["ServiceName"]).removeprefix("com.amazonaws.eu-central-1.")
        for one in template.of_type("AWS::EC2::VPCEndpoint").values()
    }


def of_network(template: Template) -> set[str]:
    kinds = {one["Type"] for one in template.resources.values()}
    return {kind.removeprefix("AWS::EC2::") for kind in kinds if kind.startswith("AWS::EC2::")}


def statements_of_s3(template: Template) -> list[Json]:
    endpoint = template.named("NetworkVpcS3", "AWS::EC2::VPCEndpoint")
    statements: list[Json] = resolve(endpoint["PolicyDocument"])["Statement"]
    return statements


def networks(template: Template) -> list[Json]:
    """Return the network configuration of each state, schedule and service that runs tasks."""
    found = [
        state["Arguments"]["NetworkConfiguration"]
        for definition in template.definitions.values()
        for _, state, _ in states(definition)
        if "NetworkConfiguration" in str(state.get("Arguments"))
    ]
    for one in template.resources.values():
        properties = one.get("Properties", {})
        parameters = properties.get("Target", {}).get("EcsParameters", properties)
        if "NetworkConfiguration" in parameters:
            found.append(resolve(parameters["NetworkConfiguration"]))
    return [
        {name[0].upper() + name[1:]: value for name, value in next(iter(one.values())).items()}
        for one in found
    ]
