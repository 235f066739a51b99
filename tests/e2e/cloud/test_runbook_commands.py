"""The commands of docs/runbook.md run as they are written, on a deployment with two uploads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.cloud import shop
from tests.e2e.cloud.deployment import Deployment
from tests.e2e.cloud.running import Cloud, without_batches
from tests.unit.infra.monitoring.test_runbook import commands, sections

# AWS CLI 1 has no `logs tail`, and an SQS endpoint of its own. The emulator has no service quotas.
PREAMBLE = """
aws() {
    case "$1 $2" in
        "logs tail") command aws logs filter-log-events --log-group-name "$3" ;;
        "service-quotas "*) ;;
        "sqs "*) command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@" ;;
        *) command aws "$@" ;;
    esac
}
shopkpi() { "$PYTHON" -m worker "$@"; }
set -eo pipefail
"""


def test_every_command_of_the_runbook_runs(cloud: Cloud, tmp_path: Path) -> None:
    if shutil.which("aws") is None:
        pytest.skip("the AWS CLI is missing: pip install awscli")
    # The runbook names executions of single objects.
    deployment = Deployment.create(cloud.emulator, without_batches(cloud.template), cloud.home)
    orders = shop.csv_bytes(shop.orders(range(1, 30)))
    deployment.upload("orders/a.csv", orders)
    deployment.upload("orders/wrong.csv", b"nothing,that,belongs,here\n1,2,3,4\n")
    executions = deployment.succeed(2)
    (refused,) = deployment.keys("ArchiveBucket", "quarantine/")[:1]
    _, source_id, key = refused.split("/", 2)
    (accepted,) = [one["name"] for one in executions if one["name"] != source_id]
    environment = {
        **os.environ,
        **deployment.emulator.environment,
        "PYTHON": sys.executable,
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "STAGE": deployment.stage,
        "INGEST": deployment.machine("ingest"),
        "IN": deployment.outputs["InputBucket"],
        "DEAD": deployment.outputs["UploadDeadLetters"],
        "UPLOADS": deployment.outputs["UploadQueue"],
        "DONE": deployment.outputs["ArchiveBucket"],
        "SHOPKPI_STATE": deployment.outputs["State"],
        "SHOPKPI_WORKSPACE": f"s3://{deployment.outputs['CleanBucket']}",
    }
    failed = {}
    for anchor, body in sections().items():
        if anchor == "sleeping-warm-service":
            continue  # this deployment has none
        script = "\n".join(commands(body))
        script = script.replace("quarantine/SOURCE_ID/KEY", f"quarantine/{source_id}/{key}")
        script = script.replace("SOURCE_ID", accepted).replace("SOURCE ", f"{accepted} ")
        script = script.replace(" CONTRACT ", " string-ids ")
        done = subprocess.run(
            ["bash", "-c", PREAMBLE + script],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if done.returncode:
            failed[anchor] = done.stderr
    assert not failed
