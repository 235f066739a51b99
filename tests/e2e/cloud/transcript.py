"""Run the transcript of docs/deploy.md in the emulated cloud.

    python -m tests.e2e.cloud.transcript            print it
    python -m tests.e2e.cloud.transcript --write    put it into docs/deploy.md

Bash runs the commands verbatim, with `shopkpi` of this Python and `aws` (AWS CLI, 1 or 2) on the
path. In the output, bucket names are shortened and long lines are cut off.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.e2e.cloud.deployment import Deployment
from tests.e2e.cloud.running import SETTINGS, running_cloud
from tests.unit.infra.templates import ROOT

GUIDE = ROOT / "docs" / "deploy.md"
MARKS = ("<!-- transcript -->", "<!-- /transcript -->")
WIDTH = 110

Step = tuple[str, int | None]
"""A command, and the number of files that must have been moved before it; None runs it at once."""

STEPS: tuple[Step, ...] = (
    ("shopkpi sample shop --orders 2000 --days 3 --dirty 0.01 --format table", None),
    (
        "for dataset in products orders order_items; do\n"
        "    aws s3api put-object --bucket $IN --key $dataset/monday.csv \\\n"
        "      --body shop/$dataset/${dataset}_part1.csv --query VersionId --output text; done",
        None,
    ),
    (
        "aws stepfunctions list-executions --state-machine-arn $BATCHES \\\n"
        "    --query 'executions[].[name,status]' --output text",
        3,
    ),
    (
        "LAST=$(aws stepfunctions list-executions --state-machine-arn $BATCHES \\\n"
        "    --query 'executions[0].executionArn' --output text); \\\n"
        "  aws stepfunctions get-execution-history --execution-arn $LAST \\\n"
        "    --query 'events[].stateEnteredEventDetails.name' --output text | fmt -w 100",
        None,
    ),
    ("aws s3 ls --recursive s3://$IN/ | wc -l; aws s3 ls --recursive s3://$DONE/", None),
    ("export SHOPKPI_STATE=dynamodb://shopkpi-dev SHOPKPI_WORKSPACE=s3://$CLEAN", None),
    ("shopkpi ledger --format table", None),
    ("shopkpi query orders --format table", None),
    ("shopkpi query category --top 2 --format csv", None),
    ("shopkpi audit --format table", None),
    (
        "echo 'nothing,that,belongs,here' > wrong.csv; \\\n"
        "  aws s3api put-object --bucket $IN --key orders/wrong.csv --body wrong.csv \\\n"
        "    --query VersionId --output text",
        None,
    ),
    ("aws s3 ls --recursive s3://$DONE/quarantine/", 4),
    ("shopkpi ledger wrong.csv --format json | grep -E '\"(verdict|reason)\"'", None),
)


def transcript(deployment: Deployment, folder: Path) -> str:
    """Run the steps in order and return what a terminal would show."""
    names = {"IN": "InputBucket", "CLEAN": "CleanBucket", "DONE": "ArchiveBucket"}
    variables = {name: deployment.outputs[output] for name, output in names.items()}
    variables["BATCHES"] = deployment.machine("batches")
    shown: list[str] = []
    with subprocess.Popen(
        ["bash", "--norc"],
        cwd=folder,
        env={**os.environ, **deployment.emulator.environment, **variables, "COLUMNS": str(WIDTH)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as shell:
        assert shell.stdin is not None
        assert shell.stdout is not None
        for command, ended in STEPS:
            if ended is not None:
                deployment.drain(ended)
            shell.stdin.write(f'{command}\necho "$? is the end"\n')
            shell.stdin.flush()
            printed: list[str] = []
            for line in shell.stdout:
                if line.endswith(" is the end\n"):
                    assert line == "0 is the end\n", (command, printed, line)
                    break
                printed.append(line.rstrip())
            shown += [f"$ {command}", *(_shorten(line, variables) for line in printed), ""]
        shell.stdin.close()
    return "\n".join(shown).rstrip() + "\n"


def _shorten(line: str, variables: Mapping[str, str]) -> str:
    for name, value in variables.items():
        line = line.replace(value, f"${name}")
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def between_marks(guide: str) -> str:
    """Return the transcript in a guide."""
    return guide.partition(MARKS[0])[2].partition(MARKS[1])[0]


def main() -> int:
    """Run the transcript; return the exit code."""
    if shutil.which("aws") is None:
        sys.stderr.write("aws is missing: the transcript uses the AWS CLI\n")
        return 2
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = {**SETTINGS, "kpis": "order,category"}
        with running_cloud(folder, settings) as cloud:
            made = Deployment.create(cloud.emulator, cloud.template, cloud.home, stage="dev")
            shop = folder / "shop"
            shop.mkdir()
            text = transcript(made, shop)
    if "--write" not in sys.argv[1:]:
        sys.stdout.write(text)
        return 0
    guide = GUIDE.read_text("utf-8")
    before, start, rest = guide.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    GUIDE.write_text(f"{before}{start}\n```\n{text}```\n{end}{after}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
