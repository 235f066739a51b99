"""`infra/deploy-check` on the emulator: everything that it does in an account of AWS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.cloud.running import Cloud
from tests.e2e.cloud.test_cdk_cli import bootstrap, synth
from tests.unit.infra.templates import ROOT

STAGE = "scratch"


def check(cloud: Cloud, app: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "infra" / "deploy-check"), "--stage", STAGE, "--app", str(app), *words],
        env={
            **os.environ,
            **cloud.emulator.environment,
            "CDK_DEFAULT_ACCOUNT": "123456789012",
            "CDK_DEFAULT_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )


def synthesized(cloud: Cloud, out: Path, **settings: str) -> Path:
    bootstrap(cloud, *synth(cloud, out, stage=STAGE, **settings))
    return out


def test_a_stage_is_tried_and_destroyed(cloud: Cloud, tmp_path: Path) -> None:
    app = synthesized(cloud, tmp_path / "out")
    done = check(cloud, app)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = [line.split(" (")[0] for line in done.stdout.splitlines()]
    names = ("deploy", "upload", "empty input", "set alarms", "price", "destroy")
    assert steps == [f"ok     {name}" for name in names]
    assert "KPIs of 2025-03-01 are right" in done.stdout
    assert "ShopKpi-scratch is gone" in done.stdout


def test_a_stage_that_makes_no_kpis_fails_and_is_destroyed(cloud: Cloud, tmp_path: Path) -> None:
    # Of other settings: the CDK takes a template that it has uploaded before for this one.
    app = synthesized(cloud, tmp_path / "out", log_retention_days="60")
    (path,) = app.glob("*.template.json")
    template = json.loads(path.read_text("utf-8"))
    for one in template["Resources"].values():
        if one["Type"] == "AWS::Events::Rule":
            one["Properties"]["State"] = "DISABLED"
    path.write_text(json.dumps(template))
    done = check(cloud, app, "--limit-s", "5")
    assert done.returncode == 1
    assert "FAILED upload: StepFailed: KPIs of 2025-03-01: expected" in done.stdout
    assert "ShopKpi-scratch is gone" in done.stdout
