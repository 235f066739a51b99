"""Ways of tasks to AWS services: public subnets, interface endpoints, or an existing VPC.

docs/decisions/0023 says what each costs, and why public subnets are the default.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws, Fn, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.settings import ENDPOINTS, EXISTING, PUBLIC, Settings

HTTPS = ec2.Port.tcp(443)
CIDR = "10.0.0.0/20"


class Network(Construct):
    """Network of the tasks, which begin connections over HTTPS and take none.

    A VPC of its own has gateway endpoints to S3 and DynamoDB, which cost nothing, and

    - `public`: an internet gateway. A task has a public address as long as it runs; no rule of its
      security group lets anything in.
    - `endpoints`: no internet gateway, and an interface endpoint for each further service, which
      costs by the hour and zone.

    Both have the same subnets, so that an update leads from one to the other. There is no NAT.

    Attributes:
        vpc: The VPC.
        subnets: Subnets of the tasks.
        public_addresses: Whether tasks get public addresses.
        tasks: Security group of the tasks: HTTPS out, nothing in.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        buckets: Sequence[s3.IBucket],
        log_retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        self._settings = settings
        self.public_addresses = settings.network == PUBLIC or settings.public_addresses
        self._kind = (
            ec2.SubnetType.PUBLIC if self.public_addresses else ec2.SubnetType.PRIVATE_ISOLATED
        )
        self.subnets = ec2.SubnetSelection(subnet_type=self._kind)
        self.vpc = (
            self._find_vpc()
            if settings.network == EXISTING
            else self._make_vpc(buckets, log_retention)
        )
        self.tasks = self._group("TasksGroup", "Tasks of shopkpi: HTTPS out, nothing in")
        self.tasks.add_egress_rule(ec2.Peer.any_ipv4(), HTTPS, "AWS services")
        if settings.network == ENDPOINTS:
            self._add_interface_endpoints()

    @property
    def subnet_ids(self) -> list[str]:
        """Ids of the subnets of the tasks."""
        ids: list[str] = self.vpc.select_subnets(subnet_type=self._kind).subnet_ids
        return ids

    def _find_vpc(self) -> ec2.IVpc:
        """Refer to the existing VPC by ids alone: a look-up would need an account at synthesis."""
        ids = list(self._settings.subnet_ids)
        kind = "public_subnet_ids" if self.public_addresses else "isolated_subnet_ids"
        return ec2.Vpc.from_vpc_attributes(
            self,
            "Vpc",
            vpc_id=self._settings.vpc_id,
            # One a subnet, as the CDK asks for; nothing in the template depends on their names.
            availability_zones=ids,
            **{kind: ids},
        )

    def _make_vpc(
        self, buckets: Sequence[s3.IBucket], log_retention: logs.RetentionDays
    ) -> ec2.Vpc:
        vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(CIDR),
            # By number of zones, a stack without a region gets two at most, and no warning.
            availability_zones=list(self._settings.availability_zones)
            or [Fn.select(number, Fn.get_azs()) for number in range(self._settings.az_count)],
            nat_gateways=0,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="Tasks",
                    subnet_type=self._kind,
                    cidr_mask=22,
                    # Tasks ask for an address; nothing else gets one by being here.
                    map_public_ip_on_launch=False if self.public_addresses else None,
                )
            ],
            # True would deploy a Lambda function to empty a group that nothing here uses.
            restrict_default_security_group=False,
        )
        refused = logs.LogGroup(
            self, "RefusedTraffic", retention=log_retention, removal_policy=RemovalPolicy.DESTROY
        )
        vpc.add_flow_log(
            "RefusedTrafficLog",
            traffic_type=ec2.FlowLogTrafficType.REJECT,
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(refused),
        )
        vpc.add_gateway_endpoint("DynamoDb", service=ec2.GatewayVpcEndpointAwsService.DYNAMODB)
        endpoint = vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        for statement in self._bucket_statements(buckets):
            endpoint.add_to_policy(statement)
        return vpc

    def _bucket_statements(self, buckets: Sequence[s3.IBucket]) -> list[iam.PolicyStatement]:
        """Limit the gateway endpoint to the stack's buckets, and the one of the image's layers."""
        arn = f"arn:{Aws.PARTITION}:s3:::"
        everyone = [iam.AnyPrincipal()]
        statements = [
            iam.PolicyStatement(
                principals=everyone,
                actions=["s3:*"],
                resources=[
                    one
                    for bucket in buckets
                    for one in (bucket.bucket_arn, bucket.arn_for_objects("*"))
                ],
            ),
            # ECR keeps the layers of images there (ECR user guide, "VPC endpoints").
            iam.PolicyStatement(
                principals=everyone,
                actions=["s3:GetObject"],
                resources=[f"{arn}prod-{Aws.REGION}-starport-layer-bucket/*"],
            ),
        ]
        if self._settings.share_network:
            # CloudFormation begins the names of buckets with that of their stack, ShopKpi-<stage>.
            shared = iam.PolicyStatement(
                principals=everyone,
                actions=["s3:*"],
                resources=[f"{arn}shopkpi-*"],
                conditions={"StringEquals": {"aws:ResourceAccount": Aws.ACCOUNT_ID}},
            )
            statements.append(shared)
        return statements

    def _add_interface_endpoints(self) -> None:
        services = {
            "EcrApi": ec2.InterfaceVpcEndpointAwsService.ECR,
            "EcrDocker": ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
            "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
            # Tasks take uploads from their queue (docs/decisions/0020).
            "Queues": ec2.InterfaceVpcEndpointAwsService.SQS,
        }
        if self._settings.warm_service:
            services["States"] = ec2.InterfaceVpcEndpointAwsService.STEP_FUNCTIONS
        if self._settings.iceberg_tables:
            services["Glue"] = ec2.InterfaceVpcEndpointAwsService.GLUE
        group = self._group(
            "EndpointsGroup", "Endpoints: HTTPS from the tasks of shopkpi, nothing out"
        )
        group.add_ingress_rule(self.tasks, HTTPS, "Tasks")
        if self._settings.share_network:
            # Tasks of other stages have groups that this stack does not know.
            group.add_ingress_rule(ec2.Peer.ipv4(CIDR), HTTPS, "Tasks of other stages")
        for name, service in services.items():
            self.vpc.add_interface_endpoint(
                name, service=service, open=False, security_groups=[group]
            )

    def _group(self, name: str, description: str) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(
            self, name, vpc=self.vpc, description=description, allow_all_outbound=False
        )
