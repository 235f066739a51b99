"""Every command, option and setting is documented, and stays so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click

from kpi.contract.loading import built_in, parse_contract
from kpi.contract.shop import ROLES
from tests.support.commands import every_command

ROOT = Path(__file__).parents[1]
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
