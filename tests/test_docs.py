"""Every command, option and setting is documented, and stays so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import get_args, get_type_hints

import click

from kpi.contract.loading import built_in, parse_contract
from kpi.contract.shop import ROLES
from tests.support.commands import every_command
from worker.cli.audit import EXIT_DIFFERENCES
from worker.errors import WorkerError
from worker.state.upload import Notice

ROOT = Path(__file__).parents[1]
EVENT = re.compile(
    r'"((?:audit|command|contract|customer|input|job|kpis|message|range|run|sample|serve|source)'
    r'\.[a-z_]+)"(?![:\]])'
)
COMMANDS = (ROOT / "docs" / "commands.md").read_text("utf-8")
LANGUAGE = (ROOT / "docs" / "language.md").read_text("utf-8")
LOADER = "".join(
    (ROOT / "kpi" / "contract" / name).read_text("utf-8")
    for name in ("language.py", "file_entries.py")
)
CONTRACT = (ROOT / "docs" / "contract.md").read_text("utf-8")


def test_every_command_is_documented() -> None:
    missing = [path for path, _ in every_command() if path not in COMMANDS]
    assert not missing


def test_every_environment_variable_is_documented() -> None:
    used = {
        option.envvar
        for _, command in every_command()
        for option in command.params
        if isinstance(option.envvar, str)
    }
    assert used
    assert not [name for name in sorted(used) if name not in COMMANDS]


def test_every_option_has_help() -> None:
    silent = [
        f"{path} {option.opts[0]}"
        for path, command in every_command()
        for option in command.params
        if isinstance(option, click.Option) and not option.help and not option.show_default
    ]
    assert not silent


def test_every_option_is_documented() -> None:
    missing = [
        f"{path} {option.opts[0]}"
        for path, command in every_command()
        for option in command.params
        if isinstance(option, click.Option) and not re.search(rf"{option.opts[0]}\b", COMMANDS)
    ]
    assert not missing


def test_every_exit_code_is_documented() -> None:
    codes = {one.exit_code for one in subclasses(WorkerError)} | {0, EXIT_DIFFERENCES, 130}
    assert {1, 2, 3, 4, 5} <= codes
    assert not [code for code in sorted(codes) if f"\n| {code} | " not in COMMANDS]


def subclasses(error: type[WorkerError]) -> set[type[WorkerError]]:
    return {error}.union(*map(subclasses, error.__subclasses__()))


def test_every_event_is_documented() -> None:
    emitted = {
        event
        for path in (ROOT / "worker").rglob("*.py")
        for event in re.findall(EVENT, path.read_text("utf-8"))
    } | {f"source.{kind}" for kind in get_args(get_type_hints(Notice)["kind"])}
    assert {"source.committed", "kpis.published", "command.failed", "job.abandoned"} <= emitted
    assert not [event for event in sorted(emitted) if f"`{event}`" not in COMMANDS]


def test_the_contract_page_names_every_setting_of_the_built_in_contract() -> None:
    document = tomllib.loads(built_in().text)
    names = {f"{table}.{key}" for table in ("csv", "time", "limits") for key in document[table]}
    for dataset in ("orders", "order_items", "products"):
        names |= set(document[dataset])
        for column in document[dataset]["columns"].values():
            names |= set(column)
    assert not [name for name in sorted(names) if f"`{name}`" not in CONTRACT]


def test_the_language_page_names_every_word() -> None:
    words = {
        *re.findall(r'(?:text|texts|boolean|table|tables|has|value|one_or_more)\("(\w+)"', LOADER),
        *(name for columns in ROLES.values() for name in columns),
    }
    assert {"fill", "valid_from", "discount_percent"} <= words
    tables = {"files", "references", *ROLES}
    assert not [word for word in sorted(words - tables) if f"`{word}`" not in LANGUAGE]
    assert not [name for name in sorted(tables) if f"[{name}" not in LANGUAGE]


def test_the_contract_of_the_language_page_is_one() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", LANGUAGE, re.DOTALL)
    shop = parse_contract(text, source="docs").shop
    assert shop is not None
    assert shop.currency == "EUR"


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))):
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
