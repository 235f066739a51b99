"""Task definitions: confined containers and their environment."""

from __future__ import annotations

import json
from pathlib import Path

from tests.unit.infra.conftest import ECR_IMAGE_URI, KMS_KEY_ARN
from tests.unit.infra.templates import Template, environment, resolve, states


def test_containers_are_confined(template: Template, full: Template) -> None:
    assert len(template.of_type("AWS::ECS::TaskDefinition")) == 6
    assert len(full.of_type("AWS::ECS::TaskDefinition")) == 7
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


def test_the_environment_names_state_and_workspace(template: Template, full: Template) -> None:
    assert environment(template) == {
        "SHOPKPI_DEPLOYMENT": "shopkpi-dev",
        "SHOPKPI_KPIS": "order,category",
        "SHOPKPI_METRICS_NAMESPACE": "shopkpi",
        "SHOPKPI_PROPOSED_CONTRACT": "default",
        "SHOPKPI_STATE": "dynamodb://shopkpi-dev",
        "SHOPKPI_WORKSPACE": "s3://BucketsClean",
    }
    assert environment(full)["SHOPKPI_STATE"] == "dynamodb://shopkpi-prod"
    assert environment(full)["SHOPKPI_PROPOSED_CONTRACT"] == "shopify"
    assert environment(full)["SHOPKPI_KPIS"] == "order,category,product"


def test_the_execution_role_may_pull_the_image(template: Template, full: Template) -> None:
    built = "arn:aws:ecr:eu-central-1:123456789012:repository/cdk-hnb659fds-container-assets-"
    named = "arn:aws:ecr:eu-central-1:123456789012:repository/team/shopkpi"
    pull = {"BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer"}
    for deployment, repository in ((template, built), (full, named)):
        for task in deployment.of_type("AWS::ECS::TaskDefinition").values():
            role = task["Properties"]["ExecutionRoleArn"]["Fn::GetAtt"][0]
            rights = deployment.rights(role)
            for action in pull:
                (resource,) = {on for what, on in rights if what == f"ecr:{action}"}
                assert resource.startswith(repository), role
            assert ("ecr:GetAuthorizationToken", "*") in rights


def test_tasks_run_on_arm_or_what_is_asked_for(
    template: Template, full: Template, hosted: Template
) -> None:
    for deployment, expected in ((template, "ARM64"), (full, "ARM64"), (hosted, "X86_64")):
        tasks = deployment.of_type("AWS::ECS::TaskDefinition").values()
        assert {one["Properties"]["RuntimePlatform"]["CpuArchitecture"] for one in tasks} == {
            expected
        }


def test_the_image_is_built_for_the_tasks(template_path: Path, hosted_path: Path) -> None:
    for path, expected in ((template_path, "linux/arm64"), (hosted_path, "linux/amd64")):
        (manifest,) = path.parent.glob("*.assets.json")
        images = json.loads(manifest.read_text("utf-8"))["dockerImages"].values()
        assert [one["source"]["platform"] for one in images] == [expected]


def test_tasks_bear_the_tags_of_their_stage(template: Template, full: Template) -> None:
    for deployment in (template, full):
        for one in deployment.of_type("AWS::ECS::TaskDefinition").values():
            tags = {tag["Key"] for tag in one["Properties"]["Tags"]}
            assert {"application", "stage"} <= tags
        run = [
            state["Arguments"]["PropagateTags"]
            for definition in deployment.definitions.values()
            for _, state, _ in states(definition)
            if "ecs:runTask" in str(state.get("Resource"))
        ]
        schedules = [
            one["Properties"]["Target"]["EcsParameters"]["PropagateTags"]
            for one in deployment.of_type("AWS::Scheduler::Schedule").values()
            if "EcsParameters" in one["Properties"]["Target"]
        ]
        assert len(schedules) == 2
        assert set(run + schedules) == {"TASK_DEFINITION"}
    assert full.named("WarmService", "AWS::ECS::Service")["PropagateTags"] == "TASK_DEFINITION"


def test_a_named_image_runs_by_its_digest(full: Template) -> None:
    for task in full.of_type("AWS::ECS::TaskDefinition").values():
        (container,) = task["Properties"]["ContainerDefinitions"]
        assert resolve(container["Image"]) == ECR_IMAGE_URI


def test_a_named_image_must_be_in_the_region_of_the_stack(full: Template) -> None:
    # The VPC endpoints of the registry lead to the stack's own region.
    (rule,) = [one for name, one in full.body["Rules"].items() if "Image" in name]
    (assertion,) = rule["Assertions"]
    assert assertion["Assert"] == {"Fn::Equals": [{"Ref": "AWS::Region"}, "eu-central-1"]}


def test_tasks_that_read_uploads_may_use_their_key(template: Template, full: Template) -> None:
    assert not any("kms" in action for action, _ in everything(template))
    users = {
        role
        for role in full.of_type("AWS::IAM::Role")
        if ("kms:Decrypt", KMS_KEY_ARN) in full.rights(role)
    }
    assert {role[:-8] for role in users} == {
        "ComputeValidateRole",
        "ComputeArchiveRole",
        "ComputeAuditRole",
        "ComputeOperatorRole",
        "ComputeServeRole",
        "IngestStateMachineRole",
        "IntakeStateMachineRole",
    }


def everything(template: Template) -> set[tuple[str, str]]:
    return {right for role in template.of_type("AWS::IAM::Role") for right in template.rights(role)}
