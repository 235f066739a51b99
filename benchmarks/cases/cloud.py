"""Cases against AWS, of which MiniStack stands here: start-up, S3, DynamoDB."""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import median

from benchmarks import kpis, ours
from benchmarks.cases.engines import MEMORY_MIB, Found, shopkpi
from benchmarks.data import sample
from benchmarks.emulator import client_environment, replay, running_ministack, upload
from benchmarks.measure import Usage, measure, warm
from benchmarks.results import Row, Runs, memory, seconds
from benchmarks.rounds import Bench, Subject, measure_rounds
from benchmarks.tap import Request, tapped

START_RUNS = 10

PUBLISH_ORDERS = 100_000
"""A year of few orders: a day's rows are as many, and publishing them is most of the work."""

CONNECTIONS = 16
"""Of the replay: as many days as a transform publishes at once."""


def start(bench: Bench) -> Found:
    """Start-up: of help, and of a worker task until it asks for its first bytes."""
    helping = Subject(
        name="shopkpi --help",
        command=lambda _: [sys.executable, "-m", "worker", "--help"],
        sample=False,
    )
    helped = measure_rounds(bench, "start", [helping], repeats=START_RUNS)["shopkpi --help"].runs
    given = sample(bench.scratch, orders=1_000)
    logs = bench.scratch / "logs" / "start"
    usages: list[Usage] = []
    waits_s: list[float] = []
    with running_ministack(logs / "ministack.log") as endpoint, tapped(endpoint) as tap:
        upload(endpoint, "clean", [])
        keys = [(path, f"orders/{path.name}") for path in (given.folder / "orders").iterdir()]
        upload(endpoint, "incoming", keys)
        environment = client_environment(tap.endpoint_url)
        for number in range(START_RUNS):
            # A ledger that knows the object would not read it again.
            state = f"dynamodb://start{number}"
            create_tables(state, logs, environment)
            command = ours.command(
                "validate", "s3://incoming/orders", workspace="s3://clean", state=state
            )
            tap.requests.clear()
            usage = measure(command, log=logs / "task.log", environment=environment, sample=False)
            gets = [request.at_s for request in tap.requests if request.is_ranged_get]
            if not gets:
                raise ours.WrongResult("the worker asked for no range of the source object")
            usages.append(usage)
            waits_s.append(gets[0] - usage.started_s)
    task = replace(Runs.of("worker until its first ranged GET", usages), wall_s=tuple(waits_s))
    rows = [
        seconds("wall of `shopkpi --help`", helped, 0.25),
        seconds("wall of a worker task until its first ranged GET", task, 0.60),
    ]
    return rows, [helped, task], "a tap between worker and emulator saw the GET with its range"


def s3(bench: Bench) -> Found:
    """CPU seconds of the worker over S3, of those over local files; the ledger is SQLite in both.

    The emulator shares the two cores and is the slow part, so walls say nothing here.
    """
    given = sample(bench.scratch, orders=bench.orders)
    warm(given.files)
    logs = bench.scratch / "logs" / "s3"
    keys = [(path, f"{path.parent.name}/{path.name}") for path in given.files]
    with running_ministack(logs / "ministack.log") as endpoint:
        upload(endpoint, "incoming", keys)
        upload(endpoint, "clean", [])
        runs = count()
        remote = Subject(
            name="s3",
            command=lambda out: ours.command(
                "run",
                "s3://incoming",
                workspace=f"s3://clean/{next(runs)}",
                state=f"sqlite://{_made(out)}/shopkpi.db",
            ),
            check=lambda usage, _: ours.check_rows(usage, given),
            environment=client_environment(endpoint),
        )
        found = measure_rounds(bench, "s3", [shopkpi("local", given), remote])
    kpis.check_same(
        ours.found_kpis(found["local"].out), ours.found_kpis(found["s3"].out), exact=True
    )
    local, over_s3 = found["local"].runs, found["s3"].runs
    gb = given.size_bytes / 1e9
    rows = [
        Row(
            what="CPU seconds per GB over S3, of local files",
            ours=f"{min(over_s3.cpu_s) / gb:.2f} s",
            other=f"{min(local.cpu_s) / gb:.2f} s",
            best=min(over_s3.cpu_s) / min(local.cpu_s),
            median=over_s3.median_cpu_s / local.median_cpu_s,
            limit=1.25,
        ),
        memory("peak memory over S3", over_s3, MEMORY_MIB),
    ]
    return rows, [local, over_s3], "KPIs equal those of the local run"


def dynamodb(bench: Bench) -> Found:
    """Publish a year to DynamoDB; compare its transactions a second with the emulator's limit.

    What it can take is measured with the same requests, recorded by a tap and sent anew to empty
    tables through that tap over as many connections, with no work between them: all of them (days
    are read before they are written), and the transactions alone.
    """
    given = sample(bench.scratch, orders=min(PUBLISH_ORDERS, bench.orders))
    logs = bench.scratch / "logs" / "dynamodb"
    rates: list[float] = []
    ceilings: list[float] = []
    alone: list[float] = []
    numbers = count()
    with running_ministack(logs / "ministack.log") as endpoint, tapped(endpoint) as tap:
        through = client_environment(tap.endpoint_url)

        def publish(out: Path) -> list[str]:
            state = f"dynamodb://publish{next(numbers)}"
            create_tables(state, logs, through)
            validated = ours.command("validate", given.folder, workspace=out, state=state)
            measure(validated, log=logs / "validate.log", environment=through)
            tap.requests.clear()
            return ours.command("transform", workspace=out, state=state)

        def check(usage: Usage, _: Path) -> None:
            sent = list(tap.requests)
            places = [at for at, request in enumerate(sent) if _publishes(request)]
            days = ours.published(usage)["days"]
            if len(places) < days:
                raise ours.WrongResult(f"expected a transaction for each of {days} days")
            stream = sent[places[0] : places[-1] + 1]
            # From the first to the last one's arrival: one less than there are.
            rates.append((len(places) - 1) / (stream[-1].at_s - stream[0].at_s))
            ceilings.append(again(stream) * len(places) / len(stream))
            alone.append(again([sent[at] for at in places]))

        def again(requests: Sequence[Request]) -> float:
            state = f"publish{next(numbers)}"
            create_tables(f"dynamodb://{state}", logs, through)
            # Over the same line as the worker's: the tap has a share of the cores too.
            return replay(tap.endpoint_url, _renamed(requests, state), connections=CONNECTIONS)

        def locally(out: Path) -> list[str]:
            measure(
                ours.command("validate", given.folder, workspace=out), log=logs / "validate.log"
            )
            return ours.command("transform", workspace=out)

        remote = Subject(name="dynamodb", command=publish, check=check, environment=through)
        found = measure_rounds(bench, "dynamodb", [remote, Subject(name="sqlite", command=locally)])
    usage = found["dynamodb"].usages[-1]
    published = sum(ours.published(usage)["rows"].values())
    in_sqlite = sum(ours.published(found["sqlite"].usages[-1])["rows"].values())
    if published != in_sqlite:
        raise ours.WrongResult(f"{published} rows in DynamoDB, {in_sqlite} in SQLite")
    over_http, in_file = found["dynamodb"].runs, found["sqlite"].runs
    cpu_s = min(over_http.cpu_s) - min(in_file.cpu_s)
    rows = [
        Row(
            what="time per transaction, of the same requests replayed",
            ours=f"{max(rates):.0f} a second",
            other=f"{max(ceilings):.0f} a second",
            best=max(ceilings) / max(rates),
            median=median(ceilings) / median(rates),
            limit=1.25,
        ),
        Row(
            what="time per transaction, of transactions alone replayed",
            ours=f"{max(rates):.0f} a second",
            other=f"{max(alone):.0f} a second",
            best=max(alone) / max(rates),
            median=median(alone) / median(rates),
        ),
        Row(
            what="CPU per KPI row published, more than to SQLite",
            ours=f"{cpu_s / published * 1e6:.0f} µs",
            best=cpu_s,
            unit="s",
        ),
    ]
    return rows, [over_http, in_file], f"{published:,} rows published, as many as to SQLite"


def create_tables(state: str, logs: Path, environment: dict[str, str]) -> None:
    """Tables of a state in the emulator."""
    command = [sys.executable, "-m", "worker", "tables", "create", "--state", state]
    measure(command, log=logs / "tables.log", environment=environment, sample=False)


def _publishes(request: Request) -> bool:
    return request.target == "transactwriteitems" and b"order_kpis" in request.body


def _renamed(requests: Sequence[Request], prefix: str) -> list[Request]:
    """Address the same requests to tables of another prefix; the emulator checks no signature.

    Each gets a new token: with one that it knows, DynamoDB answers without writing anything.
    """
    renamed = []
    for request in requests:
        body = re.sub(rb"publish\d+", prefix.encode(), request.body)
        token = rb'\g<1>"%s"' % str(uuid.uuid4()).encode()
        body = re.sub(rb'("ClientRequestToken": *)"[^"]*"', token, body)
        length = rb"\g<1>%d" % len(body)
        head = re.sub(rb"(?i)(\r\ncontent-length: *)\d+", length, request.head)
        renamed.append(replace(request, head=head, body=body))
    return renamed


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
