"""S3 in, DynamoDB out, through the commands that the containers run, on an emulator of AWS.

MiniStack enforces conditions and limits of both services; AWS itself cannot be reached here.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support.commands import shopkpi
from tests.support.emulators import Emulator, create_bucket, unique_name
from worker.objects.s3 import S3Store
from worker.sample import SampleSpec, write_sample

Command = Callable[..., "subprocess.Popen[str]"]


def finished(process: subprocess.Popen[str]) -> list[dict[str, object]]:
    """Exit code 0, and the JSON lines that were printed."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def started(arguments: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "worker", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    write_sample(tmp_path / "shop", SampleSpec(orders=1500, days=5, files=2, dirty=0.01))
    return tmp_path / "shop"


async def upload(aws: Emulator, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    aws.use(monkeypatch)
    bucket = await create_bucket(aws)
    async with await S3Store.open(bucket) as store:
        for path in sorted(folder.rglob("*.csv")):
            async with store.create(path.relative_to(folder).as_posix()) as writer:
                await writer.write(path.read_bytes())
    return bucket


def query(home: Path, arguments: Sequence[str], environment: dict[str, str]) -> dict[str, object]:
    """Rows of each table, but for when they were published."""
    return {
        table: [
            {name: value for name, value in row.items() if name not in ("as_of", "published_at")}
            for row in shopkpi(
                home, "query", table, *arguments, "--format", "json", **environment
            ).json
        ]
        for table in ("orders", "category", "product")
    }


def test_s3_and_dynamodb_give_the_rows_of_a_local_run(
    ministack: Emulator, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = asyncio.run(upload(ministack, shop, monkeypatch))
    clean = asyncio.run(create_bucket(ministack))
    environment = dict(ministack.environment)
    state = f"dynamodb://{unique_name('shop')}"
    stores = ["--workspace", f"s3://{clean}/zone", "--state", state]
    kpis = ["--kpis", "order,category,product"]
    created = started(["tables", "create", "--state", state], environment)
    assert len(created.communicate(timeout=60)[0].splitlines()) == 4

    # Every upload is an event of its own; two workers are at it at once, events come twice.
    keys = [path.relative_to(shop).as_posix() for path in sorted(shop.rglob("*.csv"))]
    urls = [f"s3://{bucket}/{key}" for key in keys]
    first = started(["validate", *urls[:4], *stores], environment)
    second = started(["validate", *urls[2:], *stores], environment)
    finished(first)
    finished(second)
    again = finished(started(["validate", *urls, *stores], environment))
    assert {line["event"] for line in again} == {"run.started", "source.known"}
    transforms = [started(["transform", *stores, *kpis], environment) for _ in range(2)]
    assert [finished(one)[-1]["event"] for one in transforms] == ["kpis.published"] * 2
    last = finished(started(["run", f"s3://{bucket}", *stores, *kpis], environment))[-1]
    assert last["days"] == 0

    local = ["--workspace", str(tmp_path / "local")]
    finished(started(["run", str(shop), *local, *kpis], {}))
    rows = query(tmp_path, stores, environment)
    assert rows == query(tmp_path, local, {})
    assert rows["orders"]


async def test_a_missing_bucket_is_told_without_a_traceback(ministack: Emulator) -> None:
    environment = dict(ministack.environment)
    stores = ["--workspace", "s3://no-such-bucket", "--state", f"dynamodb://{unique_name('none')}"]
    started(["tables", "create", *stores[2:]], environment).communicate(timeout=60)
    process = started(["validate", "s3://no-such-bucket/orders/a.csv", *stores], environment)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "no-such-bucket" in err
    assert "Traceback" not in out + err
