"""Output that goes to another program."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import worker.runtime.retry
from tests.e2e.files import ORDERS, put, put_shop
from tests.support.commands import ROOT, Shopkpi
from worker.sample import SampleSpec, write_sample


def test_csv_is_safe_for_spreadsheets_and_loses_nothing(shopkpi: Shopkpi) -> None:
    put_shop()
    raws = [
        "=1+1,7,a,2025-03-01",
        "+x,7,a,2025-03-01",
        "-1\tx,7,a,b",
        "@SUM(A1),7,a,b",
        "\t=1,7,a,b",
    ]
    good = "".join(f"{number},7,x,2025-03-01\n" for number in range(10, 99))
    put("shop/orders/2.csv", ORDERS + good + "\n".join(raws) + "\n")
    assert shopkpi("run", "shop").code == 0
    for question in (["query", "category"], ["rejects", "2.csv"]):
        done = shopkpi(*question, "--format", "csv")
        plain = shopkpi(*question, "--format", "json").json
        _, *rows = csv.reader(io.StringIO(done.out))
        assert len(rows) == len(plain)
        for row, fields in zip(rows, plain, strict=True):
            for cell, value in zip(row, fields.values(), strict=True):
                text = "; ".join(value) if isinstance(value, list) else str(value)
                is_number = re.fullmatch(r"-?\d+(\.\d+)?", text)
                assert cell.removeprefix("'") == text
                assert is_number or not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert {row["category"] for row in shopkpi("query", "category").json} >= {
        "=HYPERLINK()",
        "-Sale",
    }


def test_a_reader_may_have_had_enough(tmp_path: Path) -> None:
    """As in `shopkpi query category | head -1`."""
    write_sample(tmp_path / "shop", SampleSpec(orders=2000, days=300))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "worker"]
    run = [*command, "run", "shop", "--format", "json"]
    subprocess.run(run, cwd=tmp_path, env=environment, check=True, stdout=subprocess.DEVNULL)
    for form in ("csv", "json", "table"):
        with subprocess.Popen(
            [*command, "query", "category", "--format", form],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as asked:
            assert asked.stdout is not None
            assert asked.stderr is not None
            asked.stdout.readline()
            asked.stdout.close()
            assert asked.stderr.read() == b""
        assert asked.returncode == 0


def test_the_address_of_a_queue_shows_no_secret(
    shopkpi: Shopkpi, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: object) -> bool:
        await asyncio.sleep(0)
        return False

    monkeypatch.setattr(worker.runtime.retry.Retries, "again", never)
    queue = "http://me:hunter2secret@127.0.0.1:1/queue?X-Amz-Signature=abcdef"
    done = shopkpi(
        *("serve", "--queue", queue),
        AWS_ENDPOINT_URL=queue,
        AWS_DEFAULT_REGION="eu-central-1",
        AWS_ACCESS_KEY_ID="x",
        AWS_SECRET_ACCESS_KEY="x",
    )
    assert done.code == 1
    (line,) = done.out.splitlines()
    assert json.loads(line)["event"] == "serve.started"
    for text in (line, done.err):
        assert "127.0.0.1:1/queue" in text
        assert "hunter2secret" not in text
        assert "abcdef" not in text


@pytest.mark.parametrize("which", [signal.SIGTERM, signal.SIGINT])
def test_who_waits_for_a_reader_can_be_stopped(tmp_path: Path, which: signal.Signals) -> None:
    """As in `shopkpi rejects orders/1.csv | less`, which prints while it reads."""
    path = tmp_path / "orders" / "1.csv"
    path.parent.mkdir()
    path.write_text("order_id,user_id,status,created_at\n" + "x\n" * 20_000)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "worker"]
    validate = [*command, "validate", "orders/1.csv"]
    subprocess.run(validate, cwd=tmp_path, env=environment, check=True, stdout=subprocess.DEVNULL)
    with subprocess.Popen(
        [*command, "rejects", "orders/1.csv", "--format", "csv"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
    ) as asked:
        assert asked.stdout is not None
        # It has begun, and all of it does not fit the pipe.
        asked.stdout.readline()
        asked.send_signal(which)
        assert asked.wait(timeout=20) == -which
