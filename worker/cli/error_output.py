"""Errors on standard error: lines for people, a JSON line for programs."""

from __future__ import annotations

import io
import os
import traceback
from datetime import UTC, datetime

import click

from kpi.errors import KpiError
from worker.cli.sanitize import json_line, one_line, visible, without_secrets
from worker.errors import WorkerError, describe_lines, exit_code

DEBUG_VARIABLE = "SHOPKPI_DEBUG"


class ErrorOutput:
    """Write the error that ends a command.

    Texts in it may come from outside, as names of files do. None of them can begin a line: who
    collects standard error would take that for a line of ours.

    Attributes:
        as_json: Whether to write a JSON line, as events are.
    """

    def __init__(self) -> None:
        self.as_json = False

    def write(self, error: Exception) -> int:
        """Write an error; return the exit code."""
        code = exit_code(error)
        if self.as_json:
            click.echo(json_line(_event(error, code)), err=True)
            return code
        if os.environ.get(DEBUG_VARIABLE):
            for line in _traceback(error):
                click.echo(line, err=True)
        for number, line in enumerate(describe_lines(error)):
            click.echo(f"{'' if number else 'shopkpi: '}{_printable(line)}", err=True)
        if not isinstance(error, WorkerError | KpiError):
            click.echo(f"This should not happen. {DEBUG_VARIABLE}=1 shows where it did.", err=True)
        return code

    def write_usage(self, error: click.ClickException) -> None:
        """Write an error of click, with the usage of the command."""
        shown = io.StringIO()
        error.show(shown)
        message = error.format_message()
        text = shown.getvalue().replace(message, _printable(message))
        click.echo(visible(without_secrets(text)), err=True, nl=False)


def _event(error: Exception, code: int) -> dict[str, object]:
    event: dict[str, object] = {
        "event": "command.failed",
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "exit_code": code,
        "error": type(error).__name__,
        "problem": "\n".join(map(without_secrets, describe_lines(error))),
    }
    if isinstance(error, WorkerError):
        event["retryable"] = error.retryable
        for name in ("url", "option", "expected", "actual", "hint"):
            value = getattr(error, name)
            if value is not None:
                event[name] = without_secrets(str(value))
    if os.environ.get(DEBUG_VARIABLE):
        event["traceback"] = _traceback(error)
    return event


def _traceback(error: Exception) -> list[str]:
    lines = "".join(traceback.format_exception(error)).splitlines()
    # Indented, so that no line of a message is one of ours.
    return [f"  {_printable(line)}" for line in lines]


def _printable(text: str) -> str:
    return one_line(without_secrets(text))
