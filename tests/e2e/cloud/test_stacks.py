"""What CloudFormation leaves behind where the creation of a stack fails."""

from __future__ import annotations

import json

import pytest

from tests.e2e.cloud.deployment import Deployment
from tests.e2e.cloud.running import SETTINGS, Cloud, deployable


@pytest.fixture(scope="module")
def retaining_template(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Template whose data outlives the stack, with a resource that cannot be created."""
    folder = tmp_path_factory.mktemp("retaining")
    template = json.loads(deployable(folder, {**SETTINGS, "retain_data": "true"}))
    tables = [
        name for name, one in template["Resources"].items() if one["Type"] == "AWS::DynamoDB::Table"
    ]
    # Nobody sends the signal that it waits for.
    template["Resources"]["Handle"] = {"Type": "AWS::CloudFormation::WaitConditionHandle"}
    template["Resources"]["Broken"] = {
        "Type": "AWS::CloudFormation::WaitCondition",
        "DependsOn": tables,
        "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": "1"},
    }
    return json.dumps(template)


@pytest.mark.parametrize(("policy", "left"), [("RetainExceptOnCreate", 0), ("Retain", 4)])
def test_a_creation_that_fails_leaves_no_tables(
    cloud: Cloud, retaining_template: str, policy: str, left: int
) -> None:
    stage = policy[-7:].lower()
    template = retaining_template.replace('"RetainExceptOnCreate"', json.dumps(policy))
    with pytest.raises(AssertionError, match="ROLLBACK"):
        Deployment.create(cloud.emulator, template, cloud.home, stage=stage)
    tables = Deployment(cloud.emulator, stage, cloud.home).client("dynamodb").list_tables()
    names = [name for name in tables["TableNames"] if name.startswith(f"shopkpi-{stage}-")]
    assert len(names) == left


def test_a_second_creation_succeeds_after_a_failed_one(
    cloud: Cloud, retaining_template: str
) -> None:
    fixed = json.loads(retaining_template)
    del fixed["Resources"]["Broken"]
    with pytest.raises(AssertionError, match="ROLLBACK"):
        Deployment.create(cloud.emulator, retaining_template, cloud.home, stage="twice")
    formation = Deployment(cloud.emulator, "twice", cloud.home).client("cloudformation")
    formation.delete_stack(StackName="ShopKpi-twice")
    made = Deployment.create(cloud.emulator, json.dumps(fixed), cloud.home, stage="twice")
    assert made.outputs["State"] == "dynamodb://shopkpi-twice"
