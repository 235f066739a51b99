"""`serve`: the warm service in AWS."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from worker.cli.batches import (
    BATCH_PARAMETERS,
    read_batch_place,
    transform_in_session,
    validate_in_session,
)
from worker.cli.event_loop import run_async
from worker.cli.options import kpis_option, report_errors_as_json, store_options, utf8
from worker.cli.pipeline import bring_up_to_date
from worker.cli.sanitize import one_line, without_secrets
from worker.cli.transform import transform
from worker.cli.validate import MISSING, validate
from worker.errors import describe
from worker.inputs import open_sources
from worker.jobs import open_session, validate_all
from worker.reporting.reporters import JsonReporter
from worker.service.queue_worker import Refused, Service
from worker.settings import read_settings

if TYPE_CHECKING:
    from worker.jobs import Session

COMMANDS: Mapping[str, tuple[click.Command, frozenset[str]]] = {
    "validate": (validate, frozenset({"sources", "version_id"}) | BATCH_PARAMETERS),
    "transform": (transform, BATCH_PARAMETERS),
}
"""Command -> its definition, and the parameters that a message may give. The state machine sends
these; the service's own settings say where results go."""


@click.command()
@click.option("--queue", required=True, type=utf8, metavar="URL", help="URL of the SQS queue.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    metavar="N",
    help="Commands run at once.",
)
@store_options
@kpis_option
def serve(
    queue: str,
    concurrency: int,
    workspace: str | None,
    state: str | None,
    shop: str | None,
    contract: str | None,
    kpis: str,
) -> None:
    """Run `validate` and `transform` as messages of an SQS queue ask for them, until SIGTERM.

    A message is {"task_token": "...", "command": ["validate", "s3://in/orders/1.csv", ...]}; the
    state of Step Functions that the token belongs to gets heartbeats, then success or failure.

    \b
    Example:
      shopkpi serve --queue https://sqs.eu-central-1.amazonaws.com/123456789012/shop \\
        --workspace s3://shop-clean --state dynamodb://shop
    """
    report_errors_as_json()
    settings = read_settings(
        workspace=workspace, state=state, shop=shop, contract=contract, kpis=kpis
    )

    async def work() -> None:
        from worker.service.sqs import open_clients  # AWS client, 0.3 s

        stop = asyncio.Event()
        for which in (signal.SIGTERM, signal.SIGINT):
            # Instead of the handlers of `run_async`, which would cancel everything at once.
            asyncio.get_running_loop().add_signal_handler(which, stop.set)
        reporter = JsonReporter()
        async with (
            open_clients(queue) as (messages, tokens),
            open_session(settings) as session,
        ):
            reporter.emit("serve.started", queue=without_secrets(queue), concurrency=concurrency)
            await Service(
                queue=messages,
                tokens=tokens,
                run=CommandRunner(session, reporter).run,
                emit=reporter.emit,
                concurrency=concurrency,
                word_error=lambda error: one_line(without_secrets(describe(error))),
            ).serve(stop)
        reporter.emit("serve.stopped")

    run_async(work)


class CommandRunner:
    """Run commands in this process, on stores that are open already."""

    def __init__(self, session: Session, reporter: JsonReporter) -> None:
        self._session = session
        self._reporter = reporter
        # One at a time: each publishes all that was committed before it began, so that those that
        # waited find their work done.
        self._transforming = asyncio.Lock()

    async def run(self, words: Sequence[str]) -> None:
        """Do what `shopkpi WORDS...` does.

        Raises:
            Refused: A message may not ask for the command.
            WorkerError: As the command.
        """
        name, parameters = parse(words)
        batch = read_batch_place(parameters)
        if name == "transform":
            async with self._transforming:
                if batch is not None:
                    await transform_in_session(self._session, batch, self._reporter)
                else:
                    await bring_up_to_date(self._session, self._reporter, [])
            return
        if batch is not None:
            await validate_in_session(self._session, batch, self._reporter)
            return
        sources, version_id = parameters["sources"], parameters["version_id"]
        async with open_sources(sources, self._session.settings, None, version_id) as found:
            (await validate_all(self._session, found, self._reporter)).check()


def parse(words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Read a command and its parameters, checked as on the command line.

    Raises:
        Refused: A message may not ask for it.
    """
    name, rest = (words[0], list(words[1:])) if words else ("", [])
    if name not in COMMANDS:
        raise Refused(f"{name[:40]!r}: this service runs {' and '.join(COMMANDS)} only")
    command, allowed = COMMANDS[name]
    try:
        context = command.make_context(name, rest, help_option_names=[])
    except click.ClickException as error:
        raise Refused(f"{name}: {error.format_message()}") from error
    given = {
        parameter
        for parameter in context.params
        if context.get_parameter_source(parameter) is ParameterSource.COMMANDLINE
    }
    if more := given - allowed:
        raise Refused(f"{name}: a message may not give {', '.join(sorted(more))}")
    try:
        batch = read_batch_place(dict(context.params))
    except click.UsageError as error:
        raise Refused(f"{name}: {error.format_message()}") from error
    sources = context.params.get("sources", ())
    if batch is not None and sources:
        raise Refused(f"{name}: a batch goes without sources")
    if name == "validate" and batch is None and not sources:
        raise Refused(f"{name}: {MISSING}")
    if not all(source.startswith("s3://") for source in sources):
        raise Refused(f"{name}: expected sources in S3")
    if len(sources) > 1:
        raise Refused(f"{name}: expected one source, got {len(sources)}")
    return name, context.params
