"""Options that several commands share, and how they are read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, overload

import click

from worker.cli.error_output import ErrorOutput
from worker.cli.stdio import discard
from worker.errors import ConfigError, InvalidSettings, describe_lines
from worker.objects.readers import Readers

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
Function = TypeVar("Function", bound=Callable[..., Any])


def utf8(text: str) -> str:
    """Refuse an argument that is not UTF-8: only names of files may be any bytes."""
    if any("\ud800" <= one <= "\udfff" for one in text):  # how Python reads other bytes
        raise click.BadParameter(f"expected UTF-8, got {text!r}")
    return text


def utf8_or_path(text: str) -> str:
    """Refuse a URL that is not UTF-8; a path may be any bytes."""
    return utf8(text) if text.startswith(("s3://", "dynamodb://")) else text


def state_options(function: Function) -> Function:
    """Add --workspace, --state and --shop."""
    for option in reversed(
        (
            click.option(
                "--workspace",
                type=utf8_or_path,
                envvar="SHOPKPI_WORKSPACE",
                show_envvar=True,
                metavar="DIR_OR_URL",
                help="Clean zone and rejects: a folder or s3://bucket/prefix.  [default: .shopkpi]",
            ),
            click.option(
                "--state",
                type=utf8_or_path,
                envvar="SHOPKPI_STATE",
                show_envvar=True,
                metavar="URL",
                help="Ledger and KPI tables: sqlite:///path or dynamodb://table-prefix.  "
                "[default: shopkpi.db in the workspace]",
            ),
            click.option(
                "--shop",
                type=utf8,
                envvar="SHOPKPI_SHOP",
                show_envvar=True,
                metavar="NAME",
                help="Shop whose files and KPIs these are. Each has a contract and a ledger of its "
                "own.  [default: default]",
            ),
        )
    ):
        function = option(function)
    return function


_contract_option = click.option(
    "--contract",
    envvar="SHOPKPI_CONTRACT",
    show_envvar=True,
    metavar="FILE_OR_NAME",
    help="What the columns are, until the first accepted file adopts it: a TOML file or a built-in "
    "contract (default, string-ids, uuid-ids, olist).  [default: the adopted one, else default]",
)


def store_options(function: Function) -> Function:
    """Add --workspace, --state, --shop and --contract."""
    return state_options(_contract_option(function))


kpis_option = click.option(
    "--kpis",
    envvar="SHOPKPI_KPIS",
    show_envvar=True,
    default="order,category",
    show_default=True,
    metavar="NAMES",
    help="KPI tables to publish: order, category, product.",
)

raw_option = click.option(
    "--raw",
    multiple=True,
    type=utf8_or_path,
    envvar="SHOPKPI_RAW",
    show_envvar=True,
    metavar="DIR_OR_URL",
    help="Where raw files were moved to, as `archive --to` has it; repeatable.",
)

readers_option = click.option(
    "--readers",
    type=click.Choice([one.value for one in Readers]),
    envvar="SHOPKPI_READERS",
    show_envvar=True,
    help="Who may read KPIs and ledger in a local database, from now on; clean rows and rejects "
    "stay closed.  [default: as it is; a new one: owner]",
)

version_id_option = click.option(
    "--version-id", type=utf8, metavar="ID", help="S3 version of SOURCE, as an event names it."
)


def format_option(*formats: str) -> Callable[[Function], Function]:
    """Add --format, one of `formats`; see `choose_format` for its default."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(formats),
        help="[default: table on a terminal, else json]",
    )


def choose_format(output_format: str | None) -> str:
    """Return the format asked for, else the one that fits where the output goes."""
    return output_format or ("table" if sys.stdout.isatty() else "json")


def choose_event_format(output_format: str | None) -> str:
    """Choose as `choose_format` for a command whose JSON is lines of events.

    Where they are, an error becomes such a line too.
    """
    chosen = choose_format(output_format)
    if chosen == "json":
        report_errors_as_json()
    return chosen


def report_errors_as_json() -> None:
    """Make the error of this command a JSON line."""
    context = click.get_current_context(silent=True)
    output = context.find_object(ErrorOutput) if context else None
    if output is not None:
        output.as_json = True


@overload
def read_all(one: Callable[[], A], two: Callable[[], B], /) -> tuple[A, B]: ...


@overload
def read_all(
    one: Callable[[], A], two: Callable[[], B], three: Callable[[], C], /
) -> tuple[A, B, C]: ...


def read_all(*readers: Callable[[], object]) -> tuple[object, ...]:
    """Call every reader of settings, so that the user hears of all problems at once.

    Raises:
        InvalidSettings: It lists what is wrong with any of them.
    """
    values: list[object] = []
    problems: list[str] = []
    for reader in readers:
        try:
            values.append(reader())
        except ConfigError as error:
            problems += describe_lines(error)
    if problems:
        raise InvalidSettings(problems)
    return tuple(values)


@contextmanager
def until_reader_leaves() -> Iterator[None]:
    """Stop printing without an error when the reader does, as in `shopkpi query orders | head`."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout.fileno())
