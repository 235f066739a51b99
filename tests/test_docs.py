"""Every command, option and setting is documented, and stays so."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import click
import pytest
from click.exceptions import Exit

from kpi.contract.loading import built_in, parse_contract
from kpi.contract.model import MAX_KEY_BYTES
from kpi.contract.shop import ROLES
from kpi.csv.header import MAX_HEADER_BYTES
from kpi.validation.rules import EARLIEST, LATEST, MAX_LINE_UNITS, MAX_QUANTITY
from tests.support.commands import every_command
from worker.cli import shopkpi
from worker.cli.audit import EXIT_DIFFERENCES
from worker.errors import WorkerError
from worker.maintenance.recount import AUTOMATIC_BYTES
from worker.runtime.memory_budget import (
    CHUNKS_IN_FLIGHT,
    FILE_CACHE_BYTES,
    FOOTER_CACHE_BYTES,
    PACK_CHUNK_BYTES,
    PACK_CHUNKS,
    READ_AHEAD_BLOCKS,
    READ_BLOCK_BYTES,
)
from worker.settings import MAX_CONTRACT_BYTES
from worker.state.sqlite.connection import BUSY_TIMEOUT_S
from worker.state.sqlite.schema import SCHEMA_VERSION
from worker.state.upload import Notice
from worker.validate.formats.ranged_file import MAX_READ_BYTES
from worker.validate.formats.workbook_limits import (
    MAX_CELLS,
    MAX_ENTRIES,
    MAX_TEXT_BYTES,
    MAX_UNPACKED_BYTES,
)

ROOT = Path(__file__).parents[1]
EVENT = re.compile(
    r'"((?:audit|command|contract|customer|iceberg|input|job|kpis|maintenance|message|range|rebuild'
    r'|run|sample|serve|source|watch)\.(?!json")[a-z_]+)"(?![:\]])'
)
COMMANDS = (ROOT / "docs" / "commands.md").read_text("utf-8")
LANGUAGE = (ROOT / "docs" / "language.md").read_text("utf-8")
LOADER = "".join(
    (ROOT / "kpi" / "contract" / name).read_text("utf-8")
    for name in ("language.py", "file_entries.py")
)
SECURITY = (ROOT / "docs" / "security.md").read_text("utf-8")
RELIABILITY = (ROOT / "docs" / "reliability.md").read_text("utf-8")
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


PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.strip().lower()).replace(" ", "-") for one in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_to_pages_and_their_sections(page: Path) -> None:
    for link in re.findall(r"\]\(([^):]+)\)", page.read_text("utf-8")):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_a_page_names_exist(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return  # it tells of files that are gone
    for text in re.findall(r"`([^`\n]+)`", page.read_text("utf-8")):
        for name in re.findall(r"\b(?:tests|worker|kpi|infra|docs|benchmarks)/[\w./*-]*", text):
            assert list(ROOT.glob(name.rstrip("./"))), name


def commands_in(text: str) -> Iterator[str]:
    """Yield what follows `shopkpi` in the code of a page; synopses are left out."""
    for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL):
        yield from re.findall(r"^(?:\$ )?shopkpi (.*)$", block.replace("\\\n", ""), re.MULTILINE)
    for inline in re.findall(r"`shopkpi ([^`|\[]+)`", text):
        yield inline.replace("\n", " ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_in_a_page_are_understood(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return
    for line in commands_in(page.read_text("utf-8")):
        words = shlex.split(re.split(r"\s[|>]|;", line)[0], comments=True)
        if any("[" in word for word in words):
            continue
        command: click.Command = shopkpi
        while words and isinstance(command, click.Group):
            found = command.get_command(click.Context(command), words.pop(0))
            assert found, line
            command = found
        try:
            command.make_context("shopkpi", words)
        except (click.MissingParameter, Exit):
            continue  # named in a sentence, or `--help`
        except click.ClickException as error:
            pytest.fail(f"{line}: {error.format_message()}")


def test_the_limits_of_the_security_page_are_those_of_the_code() -> None:
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|", SECURITY, re.MULTILINE))
    default = built_in()
    assert rows == rows | {
        "a record, or a quoted field": "`limits.max_record_bytes`, "
        f"{default.max_record_bytes >> 20} MiB",
        "columns of a file": f"`limits.max_columns`, {default.max_columns:,}",
        "the name of a column": f"{MAX_HEADER_BYTES} bytes",
        "a compressed file": f"`limits.max_inflation`, {default.max_inflation:,} bytes for each "
        "stored byte, beyond the first MiB",
        "a text in a key": f"{MAX_KEY_BYTES:,} bytes",
        "a quantity": f"10^{len(str(MAX_QUANTITY)) - 1}",
        "the amount of a line": f"10^{len(str(MAX_LINE_UNITS)) - 1} of the smallest unit",
        "timestamps": f"{EARLIEST.date()} to {LATEST.date()}, UTC",
        "rejects of a file": f"`limits.max_reject_rate`, {default.max_reject_rate:.0%}".replace(
            "%", " %"
        ),
        "a workbook (`.xlsx`)": f"{MAX_UNPACKED_BYTES >> 20} MiB unpacked, {MAX_ENTRIES:,} parts, "
        f"{MAX_CELLS:,} cells, {MAX_TEXT_BYTES >> 20} MiB of text",
        "what is read of a Parquet file or ZIP archive at once": f"{MAX_READ_BYTES >> 20} MiB",
        "a contract": f"{MAX_CONTRACT_BYTES >> 20} MiB",
    }


def test_numbers_in_sentences_are_those_of_the_code() -> None:
    held = f"{READ_AHEAD_BLOCKS} blocks of {READ_BLOCK_BYTES >> 20} MiB that are read ahead"
    assert f"{held} and {CHUNKS_IN_FLIGHT} chunks that are parsed" in SECURITY
    datasets = len(built_in().datasets)
    cached = datasets * (FOOTER_CACHE_BYTES + FILE_CACHE_BYTES) + PACK_CHUNKS * PACK_CHUNK_BYTES
    for sentence in (
        f"expected a database of schema {SCHEMA_VERSION}, got",
        f"hold at most {cached >> 20} MiB of footers, small objects and packs",
        f"where the files have up to {AUTOMATIC_BYTES >> 20} MiB",
        "holds the database of a folder for a minute",
    ):
        assert sentence in RELIABILITY, sentence
    assert BUSY_TIMEOUT_S == 60
    assert f"waits up to {BUSY_TIMEOUT_S:.0f} seconds for" in SECURITY
