"""`config`: where the value of each setting comes from."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from worker.cli.attention import Condition
from worker.cli.file_options import fail_on_option, quiet_option, settle_option, sha256_option
from worker.cli.options import (
    choose_format,
    format_option,
    kpis_option,
    readers_option,
    store_options,
    utf8_or_path,
)
from worker.cli.row_output import print_rows
from worker.cli.sanitize import without_secrets
from worker.config_file import KEYS, NAME, find_config
from worker.settings import DEFAULT_WORKSPACE, read_settings

SETTINGS = {parameter: key for key, parameter in KEYS.items()}
"""Parameter -> name of the setting, where the file has one."""


@click.group()
def config() -> None:
    """Show settings and where they come from."""


@config.command(short_help="Print each setting, and where its value comes from.")
@click.argument("inputs", nargs=-1, metavar="[INPUT]...", type=utf8_or_path)
@store_options
@kpis_option
@fail_on_option
@quiet_option
@settle_option
@readers_option
@sha256_option
@format_option("table", "json")
@click.pass_context
def show(context: click.Context, /, output_format: str | None, **parameters: Any) -> None:  # noqa: ANN401
    """Print each setting, its value, and where that comes from.

    Options win over the environment, the environment over shopkpi.toml, that over defaults. The
    file is looked for in the working folder and in those above it; relative paths in it are
    relative to its own folder. Unknown keys are an error.

    \b
    Examples:
      shopkpi config show
      shopkpi config show --workspace elsewhere --format json
    """
    file = find_config()
    settings = read_settings(
        **{name: parameters[name] for name in ("workspace", "state", "shop", "contract", "kpis")}
    )
    derived = {
        "workspace": DEFAULT_WORKSPACE,
        "state": settings.state_url,
        "contract": "the one in the ledger, else default",
        "readers": "as the database is; a new one: owner",
    }
    with print_rows(choose_format(output_format)) as output:
        for parameter in context.command.params:
            name = parameter.name or ""
            if name == "output_format":
                continue
            value = parameters[name]
            output.add(
                {
                    "setting": SETTINGS.get(name, name.removesuffix("_s")),
                    "value": _text(derived.get(name, "") if value is None else value),
                    "from": _origin(context, parameter, str(file.path) if file else NAME),
                }
            )


def _origin(context: click.Context, parameter: click.Parameter, path: str) -> str:
    """Name where the value of a parameter comes from."""
    source = context.get_parameter_source(parameter.name or "")
    if source is ParameterSource.COMMANDLINE:
        return "option" if isinstance(parameter, click.Option) else "argument"
    if source is ParameterSource.ENVIRONMENT:
        return f"environment {parameter.envvar}"
    if source is ParameterSource.DEFAULT_MAP:
        return path
    return "default"


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_text, value))
    if isinstance(value, Condition):
        return str(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return without_secrets(str(value))
