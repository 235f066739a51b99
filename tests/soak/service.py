"""A service repeats the same commands: its memory and its open files do not grow.

    python -m tests.soak.service --commands 3000

`shopkpi serve` is the one long-lived process. Here it runs over MiniStack's SQS, Step Functions, S3
and DynamoDB. The commands are known files, transforms with nothing to do, missing files, and
commands that are refused. The exit code is 1 where it grows or leaves a command undone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from aiobotocore.session import get_session

from tests.soak.workers import ROOT
from tests.support.emulators import Emulator, running_ministack

FILES = 3
IN_FLIGHT = 16
LIMIT_S = 60.0
"""A command that takes longer is not coming any more."""

SEEN_EVERY = 20
"""Commands between two looks at the service."""

ENOUGH = 1000
"""Commands from which on it is judged: before, caches and pools of memory still fill."""

MOST_GROWTH_BYTES = 6 * 2**20
MOST_MORE_FILES = 8
"""From the middle third of the time to the last, in the median."""

ORDERS = "order_id,user_id,status,created_at\n"
STATES = {
    "StartAt": "Ask",
    "States": {
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Parameters": {
                "QueueUrl.$": "$.queue",
                "MessageBody": {"task_token.$": "$$.Task.Token", "command.$": "$.command"},
            },
            "End": True,
        }
    },
}


@dataclass
class Seen:
    """What is seen of the service from outside.

    Attributes:
        ended: Event -> commands that ended so.
        rss_bytes: Resident memory, every `SEEN_EVERY` commands.
        files: Open files, likewise.
    """

    ended: Counter[str] = field(default_factory=Counter)
    rss_bytes: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._more = threading.Condition()

    async def at_least(self, count: int) -> None:
        """Wait until `count` commands have ended."""

        def wait() -> None:
            with self._more:
                if not self._more.wait_for(lambda: self.ended.total() >= count, LIMIT_S):
                    raise TimeoutError(f"{count} commands should have ended: {self.ended}")

        await asyncio.to_thread(wait)

    def listen(self, process: subprocess.Popen[str]) -> None:
        """Read what it says until it ends."""
        assert process.stdout is not None
        watched = psutil.Process(process.pid)
        with process.stdout as lines:
            for line in lines:
                event = json.loads(line)["event"]
                if not event.startswith("job.") or event == "job.started":
                    continue
                if self.ended.total() % SEEN_EVERY == 0:
                    with suppress(psutil.Error):  # it may just have ended
                        self.rss_bytes.append(watched.memory_info().rss)
                        self.files.append(watched.num_fds())
                with self._more:
                    self.ended[event] += 1
                    self._more.notify_all()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.service", description=__doc__)
    parser.add_argument("--commands", type=int, default=3000)
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="shopkpi-service-") as folder,
        running_ministack(Path(folder) / "ministack.log") as emulator,
    ):
        seen, code = asyncio.run(_serve(emulator, options.commands))
    expected = Counter(_outcome(number) for number in range(options.commands))
    problems = [] if code == 0 else [f"the service ended with exit code {code}"]
    if seen.ended != expected:
        problems.append(f"expected {dict(expected)}, got {dict(seen.ended)}")
    if options.commands >= ENOUGH:
        if growth(seen.rss_bytes) > MOST_GROWTH_BYTES:
            problems.append(f"memory grew by {growth(seen.rss_bytes) / 2**20:.1f} MiB")
        if growth(seen.files) > MOST_MORE_FILES:
            problems.append(f"{growth(seen.files)} more files are open")
    memory = ", ".join(f"{_median(third) / 2**20:.1f}" for third in _thirds(seen.rss_bytes))
    files = ", ".join(str(_median(third)) for third in _thirds(seen.files))
    lines = {
        "commands": ", ".join(f"{count} {event}" for event, count in seen.ended.items()),
        "memory": f"{memory} MiB in each third of the time, "
        f"{max(seen.rss_bytes) / 2**20:.1f} MiB at most",
        "open files": files,
        "compared": f"{len(problems)} differences",
    }
    text = "".join(f"{name:<12}{value}\n" for name, value in lines.items())
    sys.stdout.write(text + "".join(f"  {problem}\n" for problem in problems))
    return 1 if problems else 0


def _command(number: int, bucket: str) -> list[str]:
    kind = number % 10
    if kind == 9:
        return ["transform"]
    if kind == 8:
        return ["archive"]
    name = "missing" if kind == 7 else number % FILES
    return ["validate", f"s3://{bucket}/orders/{name}.csv"]


def _outcome(number: int) -> str:
    return "job.failed" if number % 10 in (7, 8) else "job.succeeded"


async def _serve(emulator: Emulator, commands: int) -> tuple[Seen, int]:
    """The service's life; what was seen of it, and its exit code."""
    session = get_session()
    config: dict[str, Any] = {
        "endpoint_url": emulator.endpoint_url,
        "region_name": emulator.environment["AWS_REGION"],
        "aws_access_key_id": emulator.environment["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": emulator.environment["AWS_SECRET_ACCESS_KEY"],
    }
    async with (
        session.create_client("s3", **config) as s3,
        session.create_client("sqs", **config) as sqs,
        session.create_client("stepfunctions", **config) as sfn,
    ):
        for bucket in ("soak-in", "soak-clean"):
            await s3.create_bucket(Bucket=bucket)
        for number in range(FILES):
            rows = (f"{number * 50 + n},{n},,2025-03-{number + 1:02}T10:00:00\n" for n in range(50))
            body = (ORDERS + "".join(rows)).encode()
            await s3.put_object(Bucket="soak-in", Key=f"orders/{number}.csv", Body=body)
        queue = (await sqs.create_queue(QueueName="soak"))["QueueUrl"]
        stores = ["--workspace", "s3://soak-clean", "--state", "dynamodb://soak"]
        seen = Seen()
        with _service(emulator, queue, stores, seen) as process:
            await _ask(sfn, queue, commands, seen)
        return seen, process.returncode


@contextmanager
def _service(
    emulator: Emulator, queue: str, stores: list[str], seen: Seen
) -> Iterator[subprocess.Popen[str]]:
    """Run `shopkpi serve`, watched by `seen`; a signal stops it when the block ends."""
    shopkpi, environment = [sys.executable, "-m", "worker"], os.environ | emulator.environment
    subprocess.run(
        [*shopkpi, "tables", "create", *stores[2:]],
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    command = [*shopkpi, "serve", "--queue", queue, *stores]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    listener = threading.Thread(target=seen.listen, args=(process,))
    listener.start()
    try:
        yield process
    finally:
        process.terminate()
        listener.join()
        process.wait()


async def _ask(sfn: Any, queue: str, commands: int, seen: Seen) -> None:
    """Start an execution for each command, some at a time, and wait until all have ended."""
    machine = await sfn.create_state_machine(
        name="soak", definition=json.dumps(STATES), roleArn="arn:aws:iam::123456789012:role/any"
    )
    for number in range(commands):
        await seen.at_least(number - IN_FLIGHT)
        given = {"queue": queue, "command": _command(number, "soak-in")}
        await sfn.start_execution(
            stateMachineArn=machine["stateMachineArn"], input=json.dumps(given)
        )
    await seen.at_least(commands)


def _thirds(values: list[int]) -> list[list[int]]:
    third = max(len(values) // 3, 1)
    return [values[:third], values[third : 2 * third], values[2 * third :]]


def _median(values: list[int]) -> int:
    return sorted(values or [0])[len(values) // 2]


def growth(values: list[int]) -> int:
    """From the middle third to the last, in the median."""
    _, middle, last = map(_median, _thirds(values))
    return last - middle


if __name__ == "__main__":
    sys.exit(main())
