"""VPC of isolated subnets; tasks reach AWS services through VPC endpoints only."""

from __future__ import annotations

from aws_cdk import Fn, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_logs as logs
from constructs import Construct


class Network(Construct):
    """VPC that reaches only the AWS services that tasks need.

    Gateway endpoints lead to S3 and DynamoDB and cost nothing. Interface endpoints lead to the
    registry, the logs and the queues and cost by the hour and zone: most of an idle deployment's
    cost. There is no NAT and no internet gateway.

    Attributes:
        vpc: The VPC; all its subnets are isolated.
        subnets: Subnets of the tasks.
        tasks: Security group of the tasks: HTTPS out, nothing in.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        az_count: int,
        availability_zones: tuple[str, ...],
        warm_service: bool,
        iceberg_tables: bool,
        log_retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr("10.0.0.0/20"),
            # By number of zones, a stack without a region gets two at most, and no warning.
            availability_zones=list(availability_zones)
            or [Fn.select(number, Fn.get_azs()) for number in range(az_count)],
            nat_gateways=0,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="Tasks", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=22
                )
            ],
            # True would deploy a Lambda function to empty a group that nothing here uses.
            restrict_default_security_group=False,
        )
        self.subnets = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
        refused = logs.LogGroup(
            self, "RefusedTraffic", retention=log_retention, removal_policy=RemovalPolicy.DESTROY
        )
        self.vpc.add_flow_log(
            "RefusedTrafficLog",
            traffic_type=ec2.FlowLogTrafficType.REJECT,
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(refused),
        )
        self.tasks = ec2.SecurityGroup(
            self,
            "TasksGroup",
            vpc=self.vpc,
            description="Tasks of shopkpi: HTTPS out, nothing in",
            allow_all_outbound=False,
        )
        self.tasks.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443), "AWS services")
        self._gateways()
        services = {
            "EcrApi": ec2.InterfaceVpcEndpointAwsService.ECR,
            "EcrDocker": ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
            "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
            # Tasks take uploads from their queue (docs/decisions/0020).
            "Queues": ec2.InterfaceVpcEndpointAwsService.SQS,
        }
        if warm_service:
            services["States"] = ec2.InterfaceVpcEndpointAwsService.STEP_FUNCTIONS
        if iceberg_tables:
            services["Glue"] = ec2.InterfaceVpcEndpointAwsService.GLUE
        self._interfaces(services)

    def _gateways(self) -> None:
        self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        self.vpc.add_gateway_endpoint("DynamoDb", service=ec2.GatewayVpcEndpointAwsService.DYNAMODB)

    def _interfaces(self, services: dict[str, ec2.InterfaceVpcEndpointAwsService]) -> None:
        group = ec2.SecurityGroup(
            self,
            "EndpointsGroup",
            vpc=self.vpc,
            description="Endpoints: HTTPS from the tasks of shopkpi, nothing out",
            allow_all_outbound=False,
        )
        group.add_ingress_rule(self.tasks, ec2.Port.tcp(443), "Tasks")
        for name, service in services.items():
            self.vpc.add_interface_endpoint(
                name, service=service, open=False, security_groups=[group]
            )
