"""Task definitions: confined containers and their environment."""

from __future__ import annotations

from tests.unit.infra.templates import Template, environment


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


def test_the_environment_names_state_and_workspace(template: Template, full: Template) -> None:
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
