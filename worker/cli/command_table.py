"""A click group that imports the module of a command only when the command is named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click

from worker.config_file import find_config

SUBCOMMANDS = {"config": ("show",), "contract": ("adopt", "propose"), "tables": ("create",)}
"""Group -> its commands that take settings from the file."""


class Row(NamedTuple):
    """Where a command is found, and the line about it in the help of the group.

    Attributes:
        module: Dotted name of the module, in which the command bears its own name.
        summary: One sentence.
    """

    module: str
    summary: str


class CommandTable(click.Group):
    """Look up commands in a table of rows, so that help needs none of their modules."""

    def __init__(self, *, table: Mapping[str, Row], **settings: Any) -> None:  # noqa: ANN401  (click's own)
        super().__init__(**settings)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which help shows them."""
        del ctx
        return sorted(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None for a name that the table does not have."""
        del ctx
        row = self._table.get(cmd_name)
        if row is None:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(row.module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries of the table; click would import every command for its own."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, self._table[name].summary) for name in self.list_commands(ctx)]
            )


def defaults_from_file(commands: Iterable[str]) -> dict[str, Any] | None:
    """Return click's defaults for each command, from `shopkpi.toml`; None where there is none.

    Raises:
        ConfigError: The file is not usable.
    """
    file = find_config()
    if file is None:
        return None
    parameters = dict(file.parameters)
    return {
        name: dict.fromkeys(SUBCOMMANDS[name], parameters) if name in SUBCOMMANDS else parameters
        for name in commands
    }
