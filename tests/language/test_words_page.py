"""Every example of docs/words.md gives the result that stands there, and every word has one."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from kpi.contract.loading import parse_contract
from kpi.contract.shop import ROLES
from kpi.errors import ContractError
from tests.language.files import File
from tests.language.product import Outcome, run
from tests.test_docs import LOADER

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "words.md").read_text("utf-8")
BASE = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0]
ROW = re.compile(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)
CODE = re.compile(r"`([^`]*)`")
TOP = "top"


@dataclass
class Section:
    """Lines of a table of the contract, below its header."""

    header: str
    lines: list[str] = field(default_factory=list)

    def put(self, line: str) -> None:
        word = line.partition("=")[0]
        same = [at for at, one in enumerate(self.lines) if one.partition("=")[0] == word]
        if same:
            self.lines[same[0]] = line
        else:
            self.lines.append(line)


def contract(changes: str) -> str:
    """Apply the changes of an example to the contract of the page."""
    sections = [Section(TOP)]
    for line in BASE.splitlines():
        if line.startswith("["):
            sections.append(Section(line))
        elif line:
            sections[-1].put(line)
    for change in re.split(r"; (?=\+ |- |\[|top)", changes):
        where, _, what = change.partition(": ")
        if where.startswith("- "):
            sections = [one for one in sections if not one.header.startswith(where[2:-1])]
            continue
        name = where.removeprefix("+ ")
        found = [one for one in sections if one.header == name and not where.startswith("+ ")]
        section = found[0] if found else Section(name)
        if not found:
            sections.append(section)
        for line in CODE.findall(what):
            section.put(line)
    return "\n".join(
        "\n".join(one.lines if one.header == TOP else [one.header, *one.lines]) for one in sections
    )


def files(text: str) -> list[File]:
    found = []
    for number, one in enumerate(re.split(r"; (?=[\w/-]+\.\w+: )", text)):
        named = re.match(r"([\w/-]+\.\w+): (.*)", one)
        name, lines = named.groups() if named else ("sales.csv", one)
        rows = (piece.strip().strip("`") for piece in lines.split(" / "))
        found.append(File(name, "".join(f"{row}\n" for row in rows), number))
    return found


def examples() -> list[tuple[str, str, str, str]]:
    return [(*found.groups(),) for found in ROW.finditer(PAGE)]  # type: ignore[misc]


def check(outcome: Outcome, expected: str) -> None:
    entries = list(outcome.entries.values())
    assert all(entry.verdict == "accepted" for entry in entries), entries[0].reason
    day = min(outcome.orders)
    for one in expected.split(", "):
        name, _, value = one.rpartition(" ")
        if name == "order_date":
            assert day == value
        elif name == "rejects":
            assert sum(entry.rows_rejected for entry in entries) == int(value)
        elif name == "passed over":
            assert sum(entry.rows_passed_over for entry in entries) == int(value)
        elif name == "category":
            assert [group for of, group in outcome.categories if of == day] == [value]
        elif name == "returned in":
            returned = [
                group for (_, group), row in outcome.categories.items() if row["avg_return_rate"]
            ]
            assert returned == [value]
        else:
            found = outcome.orders[day].get(name)
            assert found is None if value == "null" else found == Decimal(value), (name, found)


@pytest.mark.parametrize(("word", "changes", "text", "expected"), examples())
def test_an_example_gives_its_result(word: str, changes: str, text: str, expected: str) -> None:
    toml = contract(changes)
    assert word == "limits" or re.search(rf"\b{word}\b", toml)
    kind, _, reason = expected.partition(": ")
    if kind == "refused" and not text:
        with pytest.raises(ContractError, match=reason):
            parse_contract(toml, source="test")
        return
    encoding = "cp1252" if "cp1252" in toml else "utf-8"
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder), toml, files(text), encoding=encoding)
    if kind == "refused":
        (entry,) = outcome.entries.values()
        assert entry.verdict == "refused"
        assert reason in str(entry.reason)
    else:
        check(outcome, expected)


def test_every_word_has_an_example() -> None:
    words = {
        *re.findall(r'(?:text|texts|boolean|table|tables|has|value|one_or_more)\("(\w+)"', LOADER),
        *(name for columns in ROLES.values() for name in columns),
    } - {"files", "references", *ROLES}
    assert words
    assert not sorted(words - {word for word, *_ in examples()})


def test_every_rule_has_a_test_that_names_it() -> None:
    tests = "".join(path.read_text("utf-8") for path in TESTS.rglob("test_*.py"))
    named = {int(number) for number in re.findall(r"def test_rule_(\d\d)_", tests)}
    assert named == set(range(1, 29))


def test_the_file_for_those_who_do_not_program_is_read(tmp_path: Path) -> None:
    (text,) = re.findall(r"```csv\n(.*?)```", PAGE, re.DOTALL)
    outcome = run(tmp_path, BASE, [File("sales-2025-03-01.csv", text, 0)])
    assert outcome.orders["2025-03-01"]["total_revenue"] == Decimal("12.50")
