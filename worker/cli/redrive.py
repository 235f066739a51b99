"""`redrive`: bring dead letters back to the queue of uploads."""

from __future__ import annotations

import sys

import click

from worker.batches.record import read_upload
from worker.cli.event_loop import run_async
from worker.cli.options import report_errors_as_json, utf8
from worker.reporting.reporters import JsonReporter


@click.command()
@click.option(
    "--queue",
    required=True,
    type=utf8,
    metavar="URL",
    help="SQS queue of uploads, not of the dead.",
)
def redrive(queue: str) -> None:
    """Bring uploads that failed five times back to their queue, once their cause is mended.

    Each is a JSON line with the cause that its last worker named; one without a cause killed every
    task that tried it.

    \b
    Example:
      shopkpi redrive --queue https://sqs.eu-central-1.amazonaws.com/123456789012/shopkpi-prod-files
    """
    report_errors_as_json()
    reporter = JsonReporter(sys.stdout)

    async def work() -> None:
        from worker.service.sqs_uploads import redrive as bring_back  # AWS client, 0.3 s

        count = 0
        async for message in bring_back(queue):
            upload = read_upload(message.body)
            reporter.emit(
                "message.redriven",
                message_id=message.message_id,
                url=upload.location.url if upload else None,
                problem=message.cause or None,
            )
            count += 1
        reporter.emit("redrive.finished", messages=count)

    run_async(work)
