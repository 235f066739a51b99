"""Conventions of the source that no linter knows."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.support.commands import shopkpi

ROOT = Path(__file__).parents[1]
PRODUCT = ("kpi", "worker", "infra")

MAX_FUNCTION_LINES = 70
FIXED_EXAMPLES = re.compile(r"\bmax_examples\s*=\s*\d")


def sources(*packages: str) -> list[Path]:
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def test_the_number_of_examples_comes_from_the_profile() -> None:
    others = [path for path in sources("tests") if path != Path(__file__)]
    assert not [path for path in others if FIXED_EXAMPLES.search(path.read_text("utf-8"))]


@pytest.mark.parametrize("text", ["@settings(max_examples=40)", "settings(max_examples = 1)"])
def test_a_fixed_number_of_examples_is_found(text: str) -> None:
    assert FIXED_EXAMPLES.search(text)


def test_the_version_comes_from_pyproject_alone(tmp_path: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert shopkpi(tmp_path, "--version").out.split()[-1] == version
    assert not [path for path in sources(*PRODUCT) if f'"{version}"' in path.read_text("utf-8")]


def long_functions(text: str) -> list[str]:
    """Name the functions of a module that have more lines than allowed."""
    return [
        f"{node.name}: {lines} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]


POSSESSIVE = re.compile(r"\)[*+?]\+")


def test_groups_are_repeated_possessively_in_one_place_alone() -> None:
    """Python before 3.11.5 matches such a group wrongly where its content can backtrack."""
    found = {str(path) for path in sources(*PRODUCT) if POSSESSIVE.search(path.read_text("utf-8"))}
    assert {Path(one).name for one in found} == {"repetition.py"}


def test_no_function_is_too_long() -> None:
    found = {str(path): long_functions(path.read_text("utf-8")) for path in sources(*PRODUCT)}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(("lines", "found"), [(69, 0), (70, 1)])
def test_a_function_over_the_limit_is_found(lines: int, found: int) -> None:
    text = "class A:\n    async def f():\n" + "        pass\n" * lines
    assert len(long_functions(text)) == found
