"""The CDK's own command line: synth, bootstrap, deploy, diff and destroy against the emulator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from infra.operations.adopt import resource_mapping
from tests.e2e.cloud.deployment import BOOTSTRAP_PARAMETER, Deployment, emulated
from tests.e2e.cloud.running import SETTINGS, Cloud
from tests.unit.infra.templates import ROOT

CDK = ROOT / "node_modules" / ".bin" / "cdk"
STAGE = "cli"

COMMAND_LIMIT_S = 600
"""A synthesis takes 15 CPU seconds, and minutes on a machine that others use too."""


def synth(cloud: Cloud, folder: Path, **settings: str) -> tuple[str, str]:
    """Run `cdk synth`, drop what MiniStack cannot create, and return `--app` for the result."""
    if not CDK.is_file():
        pytest.fail(f"{CDK} is missing: npm install --no-save aws-cdk@2.1148.1")
    context = [
        word
        for name, value in {**SETTINGS, "stage": STAGE, **settings}.items()
        for word in ("-c", f"{name}={value}")
    ]
    app = f"{sys.executable} -m infra.app"
    run(cloud, "synth", "--app", app, "--output", str(folder), "--quiet", *context)
    (template,) = folder.glob("*.template.json")
    template.write_text(json.dumps(emulated(json.loads(template.read_text("utf-8")))))
    return "--app", str(folder)


def run(cloud: Cloud, *words: str) -> str:
    """Run `cdk` and return its output."""
    done = subprocess.run(
        [str(CDK), *words, "--no-notices", "--no-version-reporting"],
        env={
            **os.environ,
            **cloud.emulator.environment,
            "CDK_DEFAULT_ACCOUNT": "123456789012",
            "CDK_DEFAULT_REGION": "us-east-1",
            "CI": "true",
            # The emulator's PYTHONPATH would hide the packages of this Python.
            "PYTHONPATH": str(ROOT),
        },
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_LIMIT_S,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    return printed


def bootstrap(cloud: Cloud, *app: str) -> str:
    """Bootstrap the emulator, where other tests may have written the parameter by themselves."""
    made = client(cloud, "cloudformation").list_stacks()["StackSummaries"]
    if "CDKToolkit" not in {one["StackName"] for one in made}:
        parameters = client(cloud, "ssm")
        with suppress(parameters.exceptions.ParameterNotFound):
            parameters.delete_parameter(Name=BOOTSTRAP_PARAMETER)
    return run(cloud, "bootstrap", "aws://123456789012/us-east-1", *app)


def test_a_deployment_comes_and_goes(cloud: Cloud, tmp_path: Path) -> None:
    app = synth(cloud, tmp_path / "first")
    assert "bootstrapped" in bootstrap(cloud, *app)
    deployed = run(cloud, "deploy", *app, "--require-approval", "never")
    assert f"ShopKpi-{STAGE}.State = dynamodb://shopkpi-{STAGE}" in deployed
    assert "Number of stacks with differences: 0" in run(cloud, "diff", *app)
    changed = synth(cloud, tmp_path / "second", log_retention_days="60")
    assert "RetentionInDays" in run(cloud, "diff", *changed)
    run(cloud, "deploy", *changed, "--require-approval", "never")
    assert "Number of stacks with differences: 0" in run(cloud, "diff", *changed)
    assert "destroyed" in run(cloud, "destroy", *changed, "--force")


def client(cloud: Cloud, service: str) -> Any:
    return Deployment(cloud.emulator, "kept", cloud.home).client(service)


def test_a_new_stack_adopts_what_the_old_one_kept(cloud: Cloud, tmp_path: Path) -> None:
    app = synth(cloud, tmp_path / "out", stage="kept", retain_data="true")
    bootstrap(cloud, *app)
    run(cloud, "deploy", *app, "--require-approval", "never")
    formation, tables = client(cloud, "cloudformation"), client(cloud, "dynamodb")
    (stack,) = formation.describe_stacks(StackName="ShopKpi-kept")["Stacks"]
    listed = formation.list_stack_resources(StackName=stack["StackId"])
    row = {"kind": {"S": "head"}, "id": {"S": "head"}, "sequence": {"N": "7"}}
    tables.put_item(TableName="shopkpi-kept-ledger", Item=row)
    run(cloud, "destroy", *app, "--force")
    assert (
        tables.get_item(
            TableName="shopkpi-kept-ledger", Key={"kind": {"S": "head"}, "id": {"S": "head"}}
        )["Item"]
        == row
    )

    mapping = tmp_path / "kept.json"
    mapping.write_text(json.dumps(resource_mapping(listed["StackResourceSummaries"])))
    run(cloud, "import", "ShopKpi-kept", *app, "--resource-mapping", str(mapping), "--force")
    run(cloud, "deploy", "ShopKpi-kept", *app, "--require-approval", "never")

    assert "Number of stacks with differences: 0" in run(cloud, "diff", *app)
    assert (
        tables.get_item(
            TableName="shopkpi-kept-ledger", Key={"kind": {"S": "head"}, "id": {"S": "head"}}
        )["Item"]
        == row
    )
    adopted = formation.list_stack_resources(StackName="ShopKpi-kept")["StackResourceSummaries"]
    assert resource_mapping(adopted) == json.loads(mapping.read_text())
