"""The arrows between modules: an import that the design does not allow fails here."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

STANDARD = sys.stdlib_module_names
AWS_CLIENT = {"aiobotocore", "botocore", "aiohttp"}  # aiobotocore brings the other two

# What each part of the program may import beside the standard library and itself.
ALLOWED = {
    "kpi": {"cryptography", "pyarrow", "numpy"},
    "worker": {
        *{"kpi", "pyarrow", "numpy"},
        *{"aiofiles", "click", "orjson", "pyiceberg", "python_calamine", "rich", "uvloop"},
        *AWS_CLIENT,
    },
    # The schemas of the clean zone are pyarrow's.
    "infra": {"kpi", "pyarrow", "aws_cdk", "boto3", "constructs", "cdk_nag", "jsii"},
}
TYPES_ONLY = {"_typeshed", "types_aiobotocore_s3", "types_aiobotocore_dynamodb"}
"""Packages that only type checkers import."""

NOT_IN_KPI = {
    *{"asyncio", "http", "socket", "sqlite3", "ssl", "subprocess", "threading", "time", "urllib"},
}
"""Of the standard library, what the pure domain has no business with."""

LAYERS: dict[str, set[str]] = {
    "kpi.errors": set(),
    "kpi.kernels": {"kpi.errors"},
    "kpi.contract": {"kpi.errors", "kpi.kernels"},
    "kpi.csv": {"kpi.contract", "kpi.kernels"},
    "kpi.json": {"kpi.contract", "kpi.csv", "kpi.errors", "kpi.kernels"},
    "kpi.validation": {"kpi.contract", "kpi.csv", "kpi.errors", "kpi.kernels"},
    "kpi.mapping": {"kpi.contract", "kpi.csv", "kpi.errors", "kpi.kernels", "kpi.validation"},
    "kpi.erasure": {"kpi.contract", "kpi.kernels"},
    "kpi.aggregation": {"kpi.contract", "kpi.errors", "kpi.kernels", "kpi.mapping"},
    "kpi.index": {"kpi.kernels"},
    "kpi.inference": {"kpi.contract", "kpi.errors", "kpi.kernels", "kpi.mapping"},
    "worker.errors": set(),
    "worker.runtime": {"worker.errors"},
    "worker.aws": set(),
    "worker.sample": {"worker.errors"},
    "worker.objects": {"worker.aws", "worker.errors", "worker.runtime"},
    "worker.state": {"worker.errors"},
    "worker.state.sqlite": {"worker.errors", "worker.objects", "worker.state"},
    "worker.state.dynamodb": {"worker.aws", "worker.errors", "worker.runtime", "worker.state"},
    "worker.stores": {
        *{"worker.errors", "worker.objects", "worker.state"},
        *{"worker.state.dynamodb", "worker.state.sqlite"},
    },
    "worker.config_file": {"worker.errors"},
    "worker.settings": {"worker.errors", "worker.objects", "worker.state"},
    "worker.clean": {"worker.errors", "worker.objects", "worker.state"},
    "worker.validate": {
        *{"worker.clean", "worker.errors", "worker.index", "worker.objects", "worker.runtime"},
        *{"worker.state"},
    },
    "worker.index": {"worker.clean", "worker.errors", "worker.objects", "worker.state"},
    "worker.packs": {
        *{"worker.clean", "worker.errors", "worker.index", "worker.objects", "worker.runtime"},
    },
    "worker.transform": {
        *{"worker.clean", "worker.errors", "worker.index", "worker.packs", "worker.runtime"},
        "worker.state",
    },
    "worker.explain": {
        *{"worker.clean", "worker.errors", "worker.runtime", "worker.state", "worker.transform"},
    },
    "worker.infer": {"worker.errors", "worker.objects", "worker.validate"},
    "worker.reporting": {
        *{"worker.clean", "worker.errors", "worker.index", "worker.objects", "worker.state"},
        *{"worker.transform", "worker.validate"},
    },
    "worker.recount": set(),
    "worker.maintenance": {
        *{"worker.recount", "worker.runtime"},
        *{"worker.clean", "worker.errors", "worker.objects", "worker.state"},
        *{"worker.index", "worker.packs", "worker.transform", "worker.validate"},
    },
    "worker.iceberg": {
        *{"worker.clean", "worker.errors", "worker.objects", "worker.runtime", "worker.state"},
        "worker.transform",
    },
    "worker.service": {"worker.aws", "worker.errors", "worker.runtime"},
    "worker.jobs": {
        *{"worker.clean", "worker.errors", "worker.objects"},
        *{"worker.reporting", "worker.runtime"},
        *{"worker.settings", "worker.state", "worker.stores", "worker.validate"},
    },
    "worker.batches": {
        *{"worker.errors", "worker.jobs", "worker.maintenance", "worker.objects"},
        *{"worker.reporting", "worker.runtime", "worker.service", "worker.state"},
        *{"worker.transform", "worker.validate"},
    },
    "worker.inputs": {
        *{"worker.jobs", "worker.objects", "worker.settings", "worker.stores"},
        "worker.validate",
    },
    "worker.cli": {
        *{"worker.batches", "worker.clean", "worker.config_file", "worker.errors", "worker.inputs"},
        "worker.jobs",
        *{"worker.iceberg", "worker.maintenance", "worker.objects"},
        *{"worker.reporting", "worker.runtime", "worker.sample", "worker.service"},
        *{"worker.settings", "worker.state", "worker.stores", "worker.transform"},
        *{"worker.explain", "worker.infer", "worker.validate"},
    },
    "worker.__main__": {"worker.cli"},
    "infra.settings": set(),
    "infra.network": {"infra.settings"},
    "infra.buckets": {"infra.settings"},
    "infra.access": {"infra.buckets", "infra.compute", "infra.settings", "infra.tables"},
    "infra.tables": {"infra.settings"},
    "infra.compute": {"infra.buckets", "infra.network", "infra.settings", "infra.tables"},
    "infra.analytics": {"infra.buckets", "infra.settings"},
    "infra.monitoring": {"infra.compute", "infra.settings"},
    "infra.workflows": {"infra.buckets", "infra.compute", "infra.settings", "infra.tables"},
    "infra.stack": {
        *{"infra.access", "infra.analytics", "infra.buckets", "infra.compute", "infra.monitoring"},
        *{"infra.network", "infra.settings", "infra.tables", "infra.workflows"},
    },
    "infra.nag_suppressions": {"infra.stack"},
    "infra.app": {"infra.nag_suppressions", "infra.settings", "infra.stack"},
    "infra.image": set(),
    "infra.operations": set(),
}
"""Folder (or loose module) -> others of the same package that it may import. Without circles."""

MAY_BUILD_STORES = ("worker.stores", "worker.cli")
CONCRETE_STORES = (
    *("worker.objects.local", "worker.objects.memory", "worker.objects.s3"),
    *("worker.state.memory", "worker.state.sqlite", "worker.state.dynamodb"),
)


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


@cache
def arrows(name: str, path: Path) -> tuple[Arrow, ...]:
    """List every import of a module, those inside of functions too."""
    return tuple(read_arrows(name, path))


def read_arrows(name: str, path: Path) -> Iterator[Arrow]:
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


def place(name: str) -> str:
    """Folder of a module, as `LAYERS` names it; a loose module is a place of its own."""
    while name not in LAYERS and "." in name:
        name = name.rpartition(".")[0]
    return name


def upward(root: Path = ROOT) -> list[str]:
    """Imports between folders that `LAYERS` does not have, those for types too."""
    wrong = []
    for package in ALLOWED:
        for arrow in all_arrows(package, root):
            importer, imported = place(arrow.importer), place(arrow.imported)
            if imported.split(".")[0] != package or imported in {package, importer}:
                continue
            if imported not in LAYERS.get(importer, set()):
                wrong.append(str(arrow))
    return wrong


def built_stores(root: Path = ROOT) -> list[str]:
    """Imports of concrete stores by modules that are neither their own family nor the builders."""

    def within(name: str, places: Iterable[str]) -> str | None:
        return next((one for one in places if name == one or name.startswith(f"{one}.")), None)

    wrong = []
    for arrow in all_arrows("worker", root):
        concrete = within(arrow.imported, CONCRETE_STORES)
        if concrete is None or within(arrow.importer, MAY_BUILD_STORES):
            continue
        if within(arrow.importer, CONCRETE_STORES) != concrete:
            wrong.append(str(arrow))
    return wrong


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_stay_within_the_table_of_the_design(package: str) -> None:
    if not modules(package):
        pytest.skip(f"{package}/ has no modules yet")
    assert foreign(package) == []


def test_folders_import_only_the_folders_below_them() -> None:
    assert upward() == []


def test_every_module_has_its_place_in_the_layers() -> None:
    names = {name for package in ALLOWED for name in modules(package) if name not in ALLOWED}
    assert {name for name in names if place(name) not in LAYERS} == set()
    assert {layer for layer in LAYERS if not any(place(name) == layer for name in names)} == set()


def test_layers_have_no_circle() -> None:
    tuple(TopologicalSorter(LAYERS).static_order())


def test_no_module_circle() -> None:
    """Also not for types alone, where an import hidden from the interpreter hides the circle."""
    known = {name: path for package in ALLOWED for name, path in modules(package).items()}
    graph: dict[str, set[str]] = {name: set() for name in known}
    for name, path in known.items():
        for arrow in arrows(name, path):
            # A package's __init__ is no part of what its modules import from it by name.
            if arrow.imported in known and not name.startswith(f"{arrow.imported}."):
                graph[name].add(arrow.imported)
    below = {
        name: {other for other in imported if not other.startswith(f"{name}.")}
        for name, imported in graph.items()
    }
    tuple(TopologicalSorter(below).static_order())


def test_no_folder_has_more_than_eight_loose_modules_at_the_top() -> None:
    for package in ALLOWED:
        loose = [path for path in (ROOT / package).glob("*.py") if path.stem != "__init__"]
        assert len(loose) <= 8, package


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
        ("kpi/a.py", "from time import perf_counter_ns"),
        ("kpi/a.py", "import orjson"),
        ("kpi/a.py", "def f():\n    from worker.errors import WorkerError"),
        ("worker/a.py", "import infra.app"),
        ("worker/a.py", "import pandas"),
        ("worker/a.py", "from types_aiobotocore_s3 import S3Client"),
        ("infra/a.py", "from worker.settings import Settings"),
        ("worker/a.py", "from worker.state.sqlite.store import SqliteState"),
        ("worker/a.py", "from worker.objects import local"),
        ("worker/objects/local.py", "from worker.state.entry import Entry"),
        ("kpi/kernels/a.py", "from kpi.csv.chunk import Chunk"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, module: str, text: str) -> None:
    for name in ("kpi", "worker", "infra"):
        (tmp_path / name).mkdir()
    for name in ("worker/state/sqlite/store.py", "worker/objects/local.py", module):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text if name == module else "")
    found = [one for package in ALLOWED for one in foreign(package, tmp_path)]
    assert len(found + built_stores(tmp_path) + upward(tmp_path)) >= 1


def test_what_parses_is_not_imported_before_there_is_something_to_parse() -> None:
    """A task starts for every file: a quarter of a second later, the first bytes would be too."""
    modules = (
        "worker.cli.run, worker.cli.validate, worker.cli.transform, worker.cli.plan, "
        " worker.cli.archive, worker.cli.query, worker.cli.audit, "
        "worker.cli.serve, worker.cli.sample, worker.validate.validate_source, "
        "worker.validate.range_task"
    )
    stores = "worker.objects.s3, worker.state.dynamodb.store, worker.state.sqlite.store"
    late = {
        "cryptography",
        "numpy",
        "pyarrow",
        "worker.validate.source_validation",
        "worker.transform",
    }
    looking = (
        f"import sys, {modules}, {stores}; from kpi.contract.loading import built_in; built_in()"
    )
    found = subprocess.run(
        [sys.executable, "-c", f"{looking}; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert late & set(found.stdout.split()) == set()


LANGUAGE_2_ONLY = (
    *("kpi.contract.language", "kpi.contract.shop", "kpi.mapping"),
    *("kpi.aggregation.shop_kpis", "kpi.aggregation.shop_versions"),
    *("worker.transform.shop", "worker.validate.mapped_validation"),
)

SMALL_SHOP = {
    "orders": "order_id,user_id,status,created_at\n1,1,shipped,2025-01-01T00:00:00\n",
    "order_items": "id,order_id,product_id,sale_price\n1,1,1,9.99\n",
    "products": "id,category,cost\n1,Hats,1.00\n",
}
"""Dataset -> its file, of the contract `default`."""


def test_run_of_language_1_imports_nothing_of_language_2(tmp_path: Path) -> None:
    """Nor what hashes texts, where every key is an integer."""
    for name, text in SMALL_SHOP.items():
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "a.csv").write_text(text, "utf-8")
    program = (
        "import atexit, sys; from worker.cli import main; "
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
        f"sys.argv[1:] = ['run', {str(tmp_path / 'in')!r}, '--workspace', "
        f"{str(tmp_path / 'work')!r}, '--format', 'json']; main()"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert '"rows_clean":1' in found.stdout.replace(" ", "")
    imported = set(found.stderr.split())
    assert "worker.transform.publish" in imported
    iceberg = {"pyiceberg", "pydantic", "sqlalchemy", "worker.iceberg"}
    assert {*LANGUAGE_2_ONLY, "cryptography", *iceberg} & imported == set()
