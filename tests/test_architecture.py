"""The arrows between modules: an import that the design does not allow fails here."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

STANDARD = sys.stdlib_module_names
AWS_CLIENT = {"aiobotocore", "botocore", "aiohttp"}  # aiobotocore brings the other two

# What each part of the program may import beside the standard library and itself.
ALLOWED = {
    "kpi": {"pyarrow", "numpy"},
    "worker": {
        *{"kpi", "pyarrow", "numpy"},
        *{"aiofiles", "click", "orjson", "rich", "uvloop"},
        *AWS_CLIENT,
    },
    # The schemas of the clean zone are pyarrow's.
    "infra": {"kpi", "pyarrow", "aws_cdk", "constructs", "cdk_nag", "jsii"},
}
TYPES_ONLY = {"types_aiobotocore_s3", "types_aiobotocore_dynamodb"}
"""Packages that only type checkers import."""

NOT_IN_KPI = {"asyncio", "socket", "ssl", "http", "urllib", "subprocess", "sqlite3", "threading"}
"""Of the standard library, what the pure domain has no business with."""

MAY_BUILD_STORES = ("worker.urls", "worker.cli")
STORE_FAMILIES = ("worker.objects", "worker.state")
SHARED = {"worker.state.entry", "worker.state.pages", "worker.state.guard", "worker.state.rows"}
"""Modules of the store packages that any store, and anyone who uses one, may import."""


@dataclass(frozen=True)
class Arrow:
    """`importer` imports `imported`."""

    importer: str
    imported: str
    line: int
    for_types: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.imported}"


def modules(package: str, root: Path = ROOT) -> dict[str, Path]:
    """Dotted name -> file of every module below a package."""
    found = {}
    for path in sorted((root / package).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def arrows(name: str, path: Path) -> Iterator[Arrow]:
    """Every import of a module, those inside of functions too."""
    tree = ast.parse(path.read_text("utf-8"))
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno} imports relatively"
            base = node.module or ""
            # `from worker.state import sqlite` may name a module.
            imported = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for one in imported:
            yield Arrow(name, one, node.lineno, node in for_types)


def all_arrows(package: str, root: Path = ROOT) -> list[Arrow]:
    return [arrow for name, path in modules(package, root).items() for arrow in arrows(name, path)]


def foreign(package: str, root: Path = ROOT) -> list[str]:
    """Imports of a package that its row of the table does not allow."""
    wrong = []
    for arrow in all_arrows(package, root):
        top = arrow.imported.split(".")[0]
        allowed = {package} | ALLOWED[package] | (TYPES_ONLY if arrow.for_types else set())
        banned = package == "kpi" and top in NOT_IN_KPI
        if banned or (top not in allowed and top not in STANDARD):
            wrong.append(str(arrow))
    return wrong


def built_stores(root: Path = ROOT) -> list[str]:
    """Imports of concrete stores by modules that are neither their own family nor the builders."""
    known = modules("worker", root)
    concrete = {
        name for name in known if name.rpartition(".")[0] in STORE_FAMILIES and name not in SHARED
    }
    wrong = []
    for arrow in all_arrows("worker", root):
        if arrow.imported not in concrete:
            continue
        own_family = arrow.importer.rpartition(".")[0] == arrow.imported.rpartition(".")[0]
        builder = any(
            arrow.importer == one or arrow.importer.startswith(f"{one}.")
            for one in MAY_BUILD_STORES
        )
        if not own_family and not builder:
            wrong.append(str(arrow))
    return wrong


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_stay_within_the_table_of_the_design(package: str) -> None:
    if not modules(package):
        pytest.skip(f"{package}/ has no modules yet")
    assert foreign(package) == []


def test_only_the_command_line_and_urls_know_concrete_stores() -> None:
    assert built_stores() == []


@pytest.mark.parametrize("package", ALLOWED)
def test_no_part_imports_tests_or_benchmarks(package: str) -> None:
    tops = {arrow.imported.split(".")[0] for arrow in all_arrows(package)}
    assert not tops & {"tests", "benchmarks"}


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("kpi/a.py", "import asyncio"),
        ("kpi/a.py", "import orjson"),
        ("kpi/a.py", "def f():\n    from worker.errors import WorkerError"),
        ("worker/a.py", "import infra.app"),
        ("worker/a.py", "import pandas"),
        ("worker/a.py", "from types_aiobotocore_s3 import S3Client"),
        ("infra/a.py", "from worker.settings import Settings"),
        ("worker/a.py", "from worker.state.sqlite import SqliteState"),
        ("worker/a.py", "from worker.objects import folder"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, module: str, text: str) -> None:
    for name in ("kpi", "worker", "infra"):
        (tmp_path / name).mkdir()
    for name in ("worker/state/sqlite.py", "worker/objects/folder.py", module):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text if name == module else "")
    found = [one for package in ALLOWED for one in foreign(package, tmp_path)]
    assert len(found + built_stores(tmp_path)) >= 1


def test_what_parses_is_not_imported_before_there_is_something_to_parse() -> None:
    """A task starts for every file: a quarter of a second later, the first bytes would be too."""
    modules = "worker.cli, worker.validate, worker.ranges, worker.pipeline, worker.report"
    stores = "worker.objects.s3, worker.state.dynamodb, worker.state.sqlite"
    late = {"numpy", "pyarrow", "worker.validation", "worker.transform"}
    looking = f"import sys, {modules}, {stores}; from kpi.contract import built_in; built_in()"
    found = subprocess.run(
        [sys.executable, "-c", f"{looking}; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert late & set(found.stdout.split()) == set()
