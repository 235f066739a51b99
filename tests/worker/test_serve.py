"""`shopkpi serve`: every message is answered, given back or left to the dead letters.

The rules are tried on a queue and on states in memory; then the command on MiniStack's SQS and Step
Functions, which move messages to dead letters and wait for tokens, but know no heartbeat timeout.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import get_session
from hypothesis import given
from hypothesis import strategies as st

from kpi.errors import ContractError, KpiError
from tests.support.emulators import Emulator, create_bucket, ministack, unique_name
from worker import cli
from worker.cli.serve import COMMANDS, parse
from worker.errors import ConfigError, Interrupted, SourceError, StoreError
from worker.objects.s3 import S3Store
from worker.serve import Message, Pace, Refused, Service, exit_code, read_body
from worker.serve_aws import open_clients

__all__ = ["ministack"]

QUICK = Pace(poll_s=1, hidden_s=60, beat_s=0.01, grace_s=0.05, release_s=1)
ORDERS = "order_id,user_id,status,created_at\n1,7,delivered,2025-03-01T10:00:00\n"

Work = Callable[[Sequence[str]], Coroutine[Any, Any, None]]


def body(token: str, *command: object) -> str:
    return json.dumps({"task_token": token, "command": list(command)})


@dataclass
class World:
    """A queue, the states that wait, and the log, in memory; what happened in which order."""

    bodies: list[str]
    gone: set[str] = field(default_factory=set)
    answers: list[tuple[str, str]] = field(default_factory=list)
    beats: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    given_back: list[tuple[str, int]] = field(default_factory=list)
    hidden: int = 0
    asked_for: list[int] = field(default_factory=list)
    log: list[dict[str, object]] = field(default_factory=list)
    broken: Exception | None = None

    async def receive(self, count: int) -> list[Message]:
        self.asked_for.append(count)
        while not self.bodies:
            if self.broken is not None:
                raise self.broken
            await asyncio.sleep(0.001)
        taken, self.bodies = self.bodies[:count], self.bodies[count:]
        return [Message(message_id=text, receipt=text, body=text, received=1) for text in taken]

    async def hide(self, message: Message, seconds: int) -> None:
        if seconds == QUICK.hidden_s:
            self.hidden += 1
        else:
            self.given_back.append((message.body, seconds))

    async def delete(self, message: Message) -> None:
        self.deleted.append(message.body)

    async def heartbeat(self, token: str) -> bool:
        self.beats.append(token)
        return token not in self.gone

    async def succeed(self, token: str) -> bool:
        self.answers.append((token, "success"))
        return token not in self.gone

    async def fail(self, token: str, error: str, cause: str) -> bool:
        assert cause
        self.answers.append((token, error))
        return token not in self.gone

    def emit(self, event: str, **fields: object) -> None:
        self.log.append({"event": event, **fields})

    def events(self) -> list[object]:
        return [line["event"] for line in self.log]

    def service(self, run: Work, concurrency: int = 4) -> Service:
        return Service(
            queue=self,
            tokens=self,
            run=run,
            emit=self.emit,
            concurrency=concurrency,
            pace=QUICK,
        )


async def until(condition: Callable[[], bool], tell: object = None) -> None:
    """Wait for it, for 20 s at most."""
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s, tell
        await asyncio.sleep(0.001)


async def serve_until(service: Service, condition: Callable[[], bool], tell: object) -> None:
    """Serve until something is the case, then stop."""
    stop = asyncio.Event()
    serving = asyncio.ensure_future(service.serve(stop))
    try:
        await until(lambda: condition() or serving.done(), tell)
    finally:
        stop.set()
        await serving


async def served(world: World, run: Work, end: Callable[[], bool], concurrency: int = 4) -> None:
    """Serve a world until something is the case."""
    await serve_until(world.service(run, concurrency), end, world.log)


async def do_nothing(words: Sequence[str]) -> None:
    """A command that succeeds."""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["task_token", "command", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.text(max_size=30) | json_values.map(json.dumps))
def test_any_body_is_read(text: str) -> None:
    job = read_body(text)
    if job is None:
        return
    document = json.loads(text)
    assert job.token == document["task_token"] != ""
    if job.command is not None:
        assert list(job.command) == document["command"] != []


def test_a_body_that_nests_too_deep_is_no_message() -> None:
    assert read_body("[" * 100_000) is None


WORDS = st.sampled_from(
    [
        *("validate", "transform", "archive", "run", "serve", "--help", "-h", "--version"),
        *("s3://in/orders/1.csv", "/etc/passwd", "file:///etc/passwd", "--version-id", "v1"),
        *("--state", "sqlite:///tmp/x.db", "--workspace=/tmp", "--format", "json", "--all", "--"),
    ]
)


@given(st.lists(WORDS | st.text(max_size=8), max_size=5))
def test_only_what_the_state_machine_sends_is_run(words: list[str]) -> None:
    try:
        name, found = parse(words)
    except Refused:
        return
    if name == "transform":
        assert [word for word in words if word != "--"] == ["transform"]
        return
    assert name == "validate"
    (source,) = found["sources"]
    assert source.startswith("s3://")
    rest = [word for word in words[1:] if word not in (source, "--")]
    assert rest in ([], ["--version-id", found["version_id"]]) or rest == [
        f"--version-id={found['version_id']}"
    ]


@pytest.mark.parametrize(
    "words",
    [
        "validate s3://in/orders/1.csv --version-id v1",
        "validate s3://in/orders/1.csv",
        "transform",
    ],
)
def test_what_the_state_machine_sends_is_understood(words: str) -> None:
    assert parse(words.split())[0] in COMMANDS


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("", "runs validate and transform only"),
        ("archive s3://in/a.csv --to s3://out", "runs validate and transform only"),
        ("validate", "Missing argument"),
        ("validate --help", "No such option"),
        ("validate orders/1.csv", "expected sources in S3"),
        ("validate s3://in/a.csv s3://in/b.csv", "expected one source, got 2"),
        (
            "validate s3://in/a.csv --workspace s3://elsewhere",
            "not for a message to say: workspace",
        ),
        ("transform --state dynamodb://other", "not for a message to say: state"),
        ("transform --all", "not for a message to say: everything"),
    ],
)
def test_what_it_does_not_send_is_refused(
    words: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Refused, match=problem):
        parse(words.split())
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("x"),
        Refused("x"),
        StoreError("x"),
        SourceError("x"),
        Interrupted("x"),
        ContractError("mine", ["x"]),
        KpiError("x"),
        ValueError("x"),
        MemoryError(),
    ],
)
def test_exit_codes_are_those_of_the_command_line(error: Exception) -> None:
    assert exit_code(error) == cli._explain(error)


KINDS = {
    "fine": "success",
    "retry": "Worker.ExitCode1",
    "wrong": "Worker.ExitCode2",
    "bug": "Worker.ExitCode1",
    "empty": "Worker.ExitCode2",
}


@given(
    st.lists(
        st.tuples(st.sampled_from([*KINDS, "malformed", "gone"]), st.integers(0, 3)), max_size=12
    ),
    st.integers(1, 4),
)
def test_every_message_is_answered_or_left(kinds: list[tuple[str, int]], concurrency: int) -> None:
    bodies = []
    for number, (kind, _) in enumerate(kinds):
        words = () if kind == "empty" else (kind, number)
        token = f"{kind}-{number}"
        made = json.dumps(
            {"task_token": token, "command": [str(word) for word in words]}
            if kind != "malformed"
            else {"command": [token]}
        )
        bodies.append(made)
    world = World(list(bodies), gone={f"gone-{number}" for number in range(len(kinds))})
    running: list[str] = []
    most = 0

    async def run(words: Sequence[str]) -> None:
        nonlocal most
        kind, number = words
        running.append(number)
        most = max(most, len(running))
        try:
            for _ in range(kinds[int(number)][1]):
                await asyncio.sleep(0)
            errors = {"retry": StoreError("x"), "wrong": ConfigError("x"), "bug": KeyError("x")}
            if kind in errors:
                raise errors[kind]
        finally:
            running.remove(number)

    left = [text for text, (kind, _) in zip(bodies, kinds, strict=True) if kind == "malformed"]

    def ended() -> bool:
        return len(world.deleted) + world.events().count("message.malformed") == len(kinds)

    asyncio.run(served(world, run, ended, concurrency))
    assert most <= concurrency
    assert sorted(world.deleted + left) == sorted(bodies)
    expected = [
        (f"{kind}-{number}", KINDS[kind]) for number, (kind, _) in enumerate(kinds) if kind in KINDS
    ]
    assert sorted(world.answers) == sorted(expected)
    assert all(count <= concurrency for count in world.asked_for)
    assert world.given_back == []


async def test_a_state_gets_heartbeats_while_its_command_runs() -> None:
    world = World([body("t", "transform")])

    async def run(_: Sequence[str]) -> None:
        await until(lambda: len(world.beats) >= 4)

    await served(world, run, lambda: bool(world.deleted))
    assert world.hidden >= 3
    assert world.answers == [("t", "success")]
    beats = len(world.beats)
    await asyncio.sleep(0.05)
    assert len(world.beats) == beats


async def test_what_nobody_waits_for_any_more_is_cancelled() -> None:
    world = World([body("t", "transform")])
    cancelled = asyncio.Event()

    async def run(_: Sequence[str]) -> None:
        world.gone.add("t")
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()

    await served(world, run, lambda: bool(world.deleted))
    assert cancelled.is_set()
    assert world.answers == []
    assert world.events() == ["job.started", "job.expired"]


async def test_an_answer_that_comes_too_late_is_logged_and_the_message_deleted() -> None:
    world = World([body("t", "transform")])

    async def run(_: Sequence[str]) -> None:
        world.gone.add("t")

    await served(world, run, lambda: bool(world.deleted))
    assert world.events() == ["job.started", "job.expired"]


async def test_heartbeats_that_fail_do_not_stop_the_work() -> None:
    world = World([body("t", "transform")])

    async def hide(*_: object) -> None:
        raise StoreError("no way through")

    world.hide = hide  # type: ignore[method-assign]

    async def run(_: Sequence[str]) -> None:
        await until(lambda: world.events().count("heartbeat.failed") >= 2)

    await served(world, run, lambda: bool(world.deleted))
    assert world.answers == [("t", "success")]


async def test_a_message_whose_answer_does_not_get_through_comes_back() -> None:
    world = World([body("t", "transform"), body("u", "transform")])

    async def succeed(token: str) -> bool:
        if token == "t":
            raise StoreError("no way through")
        world.answers.append((token, "success"))
        return True

    world.succeed = succeed  # type: ignore[method-assign]
    await served(world, do_nothing, lambda: bool(world.deleted))
    assert world.deleted == [body("u", "transform")]
    assert "job.unanswered" in world.events()


async def test_a_job_may_end_within_the_grace() -> None:
    world = World([body("t", "transform")])

    async def run(_: Sequence[str]) -> None:
        await asyncio.sleep(0.01)

    await served(world, run, lambda: "job.started" in world.events())
    assert world.answers == [("t", "success")]
    assert world.given_back == []


async def test_a_job_that_takes_longer_goes_back_to_the_queue() -> None:
    world = World([body("t", "transform"), body("u", "transform")])

    async def run(_: Sequence[str]) -> None:
        await asyncio.sleep(3600)

    started_s = time.monotonic()
    await served(world, run, lambda: "job.started" in world.events(), concurrency=1)
    assert time.monotonic() - started_s < 5
    assert world.given_back == [(body("t", "transform"), 0)]
    assert (world.answers, world.deleted) == ([], [])
    assert world.bodies == [body("u", "transform")]
    assert world.events()[-2:] == ["serve.stopping", "job.abandoned"]


async def test_a_job_does_not_go_back_into_a_poll_that_nobody_listens_to() -> None:
    world = World([body("t", "transform")])

    async def run(_: Sequence[str]) -> None:
        await asyncio.sleep(3600)

    await served(world, run, lambda: len(world.asked_for) == 2, concurrency=2)
    assert world.given_back == [(body("t", "transform"), QUICK.poll_s)]


async def test_stopping_does_not_wait_for_a_poll() -> None:
    world = World([])
    started_s = time.monotonic()
    await served(world, do_nothing, lambda: bool(world.asked_for))
    assert time.monotonic() - started_s < 5


async def test_a_queue_that_cannot_be_read_ends_the_service_but_not_its_jobs() -> None:
    world = World([body("t", "transform")])

    async def run(_: Sequence[str]) -> None:
        world.broken = StoreError("no way through")
        await asyncio.sleep(0.01)

    with pytest.raises(StoreError):
        await served(world, run, lambda: False)
    assert world.answers == [("t", "success")]


# On an emulator of AWS.


@pytest.fixture
def aws(ministack: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    ministack.use(monkeypatch)
    return ministack


@contextlib.asynccontextmanager
async def clients() -> AsyncIterator[tuple[Any, Any]]:
    """SQS and Step Functions."""
    session = get_session()
    async with session.create_client("sqs") as sqs, session.create_client("stepfunctions") as sfn:
        yield sqs, sfn


async def make_queue(sqs: Any, **attributes: str) -> str:
    made = await sqs.create_queue(QueueName=unique_name("queue"), Attributes=attributes)
    return str(made["QueueUrl"])


async def ask(sfn: Any, queue: str, *command: str) -> str:
    """Start an execution whose one state sends `command` and waits; returns its ARN."""
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {
            "QueueUrl": queue,
            "MessageBody": {"task_token.$": "$$.Task.Token", "command": list(command)},
        },
        "End": True,
    }
    machine = await sfn.create_state_machine(
        name=unique_name("machine"),
        definition=json.dumps({"StartAt": "Ask", "States": {"Ask": state}}),
        roleArn="arn:aws:iam::123456789012:role/any",
    )
    started = await sfn.start_execution(stateMachineArn=machine["stateMachineArn"], input="{}")
    return str(started["executionArn"])


async def ended(sfn: Any, execution: str) -> dict[str, Any]:
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        found: dict[str, Any] = await sfn.describe_execution(executionArn=execution)
        if found["status"] != "RUNNING":
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("the execution has not ended")


async def in_flight(sqs: Any, queue: str) -> tuple[int, int]:
    """Messages that wait, and messages that somebody has."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = await sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)
    waiting, taken = (int(found["Attributes"][name]) for name in names)
    return waiting, taken


@contextlib.asynccontextmanager
async def emulated(world: World, queue: str, run: Work, pace: Pace) -> AsyncIterator[Service]:
    """A service over the emulator's queue and states, with the log of `world`."""
    async with open_clients(queue, pace) as (messages, tokens):
        yield Service(
            queue=messages, tokens=tokens, run=run, emit=world.emit, concurrency=2, pace=pace
        )


@contextlib.contextmanager
def serving(queue: str, aws: Emulator, *options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "worker", "serve", "--queue", queue, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | aws.environment,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def test_the_command_serves_a_state_machine(aws: Emulator, tmp_path: Path) -> None:
    bucket = await create_bucket(aws, versioned=True)
    async with await S3Store.open(bucket) as store:
        async with store.create("orders/1.csv") as writer:
            await writer.write(ORDERS.encode())
        version = (await store.stat("orders/1.csv")).version.removeprefix("version:")
    url = f"s3://{bucket}/orders/1.csv"
    stores = ("--workspace", str(tmp_path), "--state", f"sqlite:///{tmp_path}/shopkpi.db")
    async with clients() as (sqs, sfn):
        queue = await make_queue(sqs)
        with serving(queue, aws, *stores) as process:
            validated = await ended(
                sfn, await ask(sfn, queue, "validate", url, "--version-id", version)
            )
            assert validated["status"] == "SUCCEEDED"
            assert json.loads(validated["output"]) == {"exit_code": 0}
            published = await ended(sfn, await ask(sfn, queue, "transform"))
            assert published["status"] == "SUCCEEDED"
            missing = f"s3://{bucket}/orders/2.csv"
            signed = f"s3://{bucket}/orders/?X-Amz-Signature=0123456789abcdef"
            for words, error, cause in (
                (["validate", signed], "Worker.ExitCode2", "X-Amz-Signature=***"),
                (["validate", missing], "Worker.ExitCode2", "orders/2.csv"),
                (["validate", url, "--version-id", "none"], "Worker.ExitCode1", "no such object"),
                (["rm", "-rf", "/"], "Worker.ExitCode2", "'rm': this service runs"),
            ):
                failed = await ended(sfn, await ask(sfn, queue, *words))
                assert (failed["status"], failed["error"]) == ("FAILED", error), failed
                assert cause in failed["cause"]
            assert await in_flight(sqs, queue) == (0, 0)
            stopped_s = time.monotonic()
            process.send_signal(signal.SIGTERM)
            out, err = await asyncio.to_thread(process.communicate, timeout=10)
        assert time.monotonic() - stopped_s < 3
        assert (process.returncode, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    events = [line["event"] for line in lines]
    assert events[0] == "serve.started"
    assert events[-1] == "serve.stopped"
    assert {"source.committed", "kpis.published"} <= set(events)
    assert events.count("job.succeeded") == 2
    assert events.count("job.failed") == 4
    # What tokens and signatures open is nobody's business.
    assert "task_token" not in out
    assert "0123456789abcdef" not in out


@pytest.mark.usefixtures("aws")
async def test_a_job_that_is_abandoned_is_there_for_the_next_worker() -> None:
    async with clients() as (sqs, sfn):
        queue = await make_queue(sqs)
        execution = await ask(sfn, queue, "transform")

        async def hang(_: Sequence[str]) -> None:
            await asyncio.sleep(3600)

        world = World([])
        async with emulated(world, queue, hang, QUICK) as service:
            await serve_until(service, lambda: "job.started" in world.events(), world.log)
        assert world.events()[-1] == "job.abandoned"
        assert sum(await in_flight(sqs, queue)) == 1
        async with emulated(world, queue, do_nothing, QUICK) as service:
            await serve_until(service, lambda: "job.succeeded" in world.events(), world.log)
        assert world.log[-1]["received"] == 2
        assert (await ended(sfn, execution))["status"] == "SUCCEEDED"
        assert await in_flight(sqs, queue) == (0, 0)


@pytest.mark.usefixtures("aws")
async def test_poison_goes_to_the_dead_letters_and_an_expired_token_goes_away() -> None:
    async with clients() as (sqs, _):
        dead = await make_queue(sqs)
        arn = await sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
        redrive = {"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": "2"}
        queue = await make_queue(sqs, RedrivePolicy=json.dumps(redrive))
        for text in ("no JSON", body("a token that was never one", "transform")):
            await sqs.send_message(QueueUrl=queue, MessageBody=text)
        world = World([])
        async with emulated(world, queue, do_nothing, Pace(poll_s=1, hidden_s=1)) as service:
            seen = world.events
            await serve_until(service, lambda: seen().count("message.malformed") == 2, world.log)
        deadline_s = time.monotonic() + 20
        while await in_flight(sqs, dead) != (1, 0):
            assert time.monotonic() < deadline_s, world.log
            await sqs.receive_message(QueueUrl=queue)  # who asks for messages moves dead ones
            await asyncio.sleep(0.1)
        assert world.events().count("message.malformed") == 2
        assert world.events().count("job.expired") == 1
        assert await in_flight(sqs, queue) == (0, 0)


async def test_a_queue_that_is_not_there_is_wrong_use(aws: Emulator, tmp_path: Path) -> None:
    queue = f"{aws.endpoint_url}/123456789012/{unique_name('none')}"
    with serving(queue, aws, "--workspace", str(tmp_path)) as process:
        out, err = await asyncio.to_thread(process.communicate, timeout=20)
    assert process.returncode == 2
    assert queue in err
    assert "Traceback" not in err
    assert json.loads(out)["event"] == "serve.started"
