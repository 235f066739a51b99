"""`serve`: the warm service in AWS."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from worker.cli.event_loop import run_async
from worker.cli.options import kpis_option, store_options, utf8
from worker.cli.run import bring_up_to_date, transform, validate

if TYPE_CHECKING:
    from worker.jobs import Session
    from worker.reporting.reporters import JsonReporter

# What the state machine sends; where results go is for the service's own settings to say.
COMMANDS: Mapping[str, tuple[click.Command, frozenset[str]]] = {
    "validate": (validate, frozenset({"sources", "version_id"})),
    "transform": (transform, frozenset()),
}
"""Command -> its definition, and the parameters that a message may give."""


@click.command(short_help="Take commands from a queue: the warm service in AWS.")
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
    from worker.settings import read_settings  # noqa: PLC0415

    settings = read_settings(workspace=workspace, state=state, contract=contract, kpis=kpis)

    async def work() -> None:
        from worker.cli.sanitize import without_secrets  # noqa: PLC0415
        from worker.jobs import open_session  # noqa: PLC0415
        from worker.reporting.reporters import JsonReporter  # noqa: PLC0415
        from worker.service.queue_worker import Service, told  # noqa: PLC0415
        from worker.service.sqs import open_clients  # noqa: PLC0415

        stop = asyncio.Event()
        for which in (signal.SIGTERM, signal.SIGINT):
            # In place of the handlers of `run_async`, which would cancel everything at once.
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
                run=Runner(session, reporter).run,
                emit=reporter.emit,
                concurrency=concurrency,
                explain=lambda error: without_secrets(told(error)),
            ).serve(stop)
        reporter.emit("serve.stopped")

    run_async(work)


class Runner:
    """Runs commands in this process, on stores that are open already."""

    def __init__(self, session: Session, reporter: JsonReporter) -> None:
        self._session = session
        self._reporter = reporter
        # One after the other: each publishes all that was committed before it began, so that what
        # waited meanwhile finds its work done.
        self._transforming = asyncio.Lock()

    async def run(self, words: Sequence[str]) -> None:
        """Do what `shopkpi WORDS...` does.

        Errors: `Refused` for a command that messages may not ask for; those of the command.
        """
        from worker.jobs import open_sources, validate_all  # noqa: PLC0415

        name, given = parse(words)
        if name == "transform":
            async with self._transforming:
                await bring_up_to_date(self._session, self._reporter, [])
            return
        sources, version_id = given["sources"], given["version_id"]
        async with open_sources(sources, self._session.settings, None, version_id) as found:
            await validate_all(self._session, found, self._reporter)


def parse(words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """A command and its parameters, read and checked as on the command line.

    Errors: `Refused` for what a message may not ask for.
    """
    from worker.service.queue_worker import Refused  # noqa: PLC0415

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
        raise Refused(f"{name}: not for a message to say: {', '.join(sorted(more))}")
    sources = context.params.get("sources", ())
    if not all(source.startswith("s3://") for source in sources):
        raise Refused(f"{name}: expected sources in S3")
    if len(sources) > 1:
        raise Refused(f"{name}: expected one source, got {len(sources)}")
    return name, context.params
