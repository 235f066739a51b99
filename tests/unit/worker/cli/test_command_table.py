"""The table of commands: help without their modules, every row leads to a command."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from tests.support.commands import ROOT
from worker.cli import COMMANDS, shopkpi
from worker.cli.command_table import CommandTable, Row

HEAVY = {"asyncio", "numpy", "orjson", "pyarrow", "rich", "uvloop", "worker.jobs"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_row_leads_to_a_command_of_its_name(name: str) -> None:
    command = shopkpi.get_command(click.Context(shopkpi), name)
    assert command is not None
    assert command.name == name


def test_unknown_name_is_no_command() -> None:
    assert shopkpi.get_command(click.Context(shopkpi), "quer") is None


def test_help_imports_no_module_of_a_command() -> None:
    looking = (
        "import sys; sys.argv = ['shopkpi', '--help']\n"
        "import worker.cli\n"
        "try: worker.cli.main()\n"
        "except SystemExit: print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", looking], cwd=ROOT, capture_output=True, text=True, check=True
    )
    help_text, modules = done.stdout.rsplit("\n", 2)[:2]
    assert all(row.summary in help_text for row in COMMANDS.values())
    commands = {row.module for row in COMMANDS.values()}
    assert (HEAVY | commands) & set(modules.split()) == set()


def test_module_is_imported_when_its_command_is_named() -> None:
    table = CommandTable(
        name="t", table={"shopkpi": Row("worker.cli", "."), "x": Row("nowhere", ".")}
    )
    assert table.get_command(click.Context(table), "shopkpi") is shopkpi
    with pytest.raises(ModuleNotFoundError):
        table.get_command(click.Context(table), "x")
