"""Conventions of the source that no linter knows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.support.commands import shopkpi

ROOT = Path(__file__).parents[1]
PRODUCT = ("kpi", "worker", "infra")

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
