"""Options that several commands share, and the event loop that they run in."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, overload

import click

from worker.cli.stdio import discard
from worker.errors import ConfigError

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
Function = TypeVar("Function", bound=Callable[..., Any])


def utf8(text: str) -> str:
    """Type of options that are no names of files: those alone may be any bytes."""
    if any("\ud800" <= one <= "\udfff" for one in text):  # how Python reads other bytes
        raise click.BadParameter(f"expected UTF-8, got {text!r}")
    return text


def utf8_or_path(text: str) -> str:
    """Type of options that are URLs or paths."""
    return utf8(text) if text.startswith(("s3://", "dynamodb://")) else text


def store_options(function: Function) -> Function:
    """--workspace, --state and --contract."""
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
                "--contract",
                envvar="SHOPKPI_CONTRACT",
                show_envvar=True,
                metavar="FILE_OR_NAME",
                help="What the columns are: a TOML file or a built-in contract (default, "
                "string-ids, uuid-ids, olist).  [default: default]",
            ),
        )
    ):
        function = option(function)
    return function


kpis_option = click.option(
    "--kpis",
    envvar="SHOPKPI_KPIS",
    show_envvar=True,
    default="order,category",
    show_default=True,
    metavar="NAMES",
    help="KPI tables to publish: order, category, product.",
)


def format_option(*formats: str) -> Callable[[Function], Function]:
    """--format, with the first format on a terminal and the second elsewhere."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(formats),
        help=f"[default: {formats[0]} on a terminal, else {formats[1]}]",
    )


def choose_format(form: str | None, terminal: str, other: str) -> str:
    """The format asked for, else the one that fits where the output goes."""
    return form or (terminal if sys.stdout.isatty() else other)


@overload
def read_all(one: Callable[[], A], two: Callable[[], B], /) -> tuple[A, B]: ...


@overload
def read_all(
    one: Callable[[], A], two: Callable[[], B], three: Callable[[], C], /
) -> tuple[A, B, C]: ...


def read_all(*readers: Callable[[], object]) -> tuple[object, ...]:
    """What each reader of settings returns.

    Errors: one `ConfigError` that lists what is wrong with any of them.
    """
    values: list[object] = []
    problems: list[str] = []
    for reader in readers:
        try:
            values.append(reader())
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    return tuple(values)


@contextmanager
def for_a_reader() -> Iterator[None]:
    """Printing for someone who may have had enough, as in `shopkpi query orders | head`."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout.fileno())
