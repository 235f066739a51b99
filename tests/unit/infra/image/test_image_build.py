"""The Dockerfile and the script that tries the image name files that exist."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from infra.image.prune_packages import SERVICE_MODELS, prune
from infra.settings import PINNED_IMAGE
from tests.unit.infra.templates import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def copied_from_context() -> list[str]:
    """Sources of every COPY that reads the build context, not another stage."""
    sources = []
    for words in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE):
        *froms, _ = words.split()
        sources += froms
    return sources


def test_copied_files_exist_and_are_sent_to_the_builder() -> None:
    ignore = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    sources = copied_from_context()
    assert len(sources) >= 5
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignore, source


def test_the_base_image_is_pinned_by_digest() -> None:
    (base,) = re.findall(r"^ARG BASE_IMAGE=(.*)$", DOCKERFILE, re.MULTILINE)
    assert PINNED_IMAGE.fullmatch(base)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${BASE_IMAGE}"}


def installs(text: str) -> list[str]:
    """Every command that installs packages or builds one."""
    command = re.compile(r"\$\(PIP\)|/pip (?:.* )?(?:install|wheel) ")
    return [line for line in joined(text).splitlines() if command.search(line)]


def joined(text: str) -> str:
    return re.sub(r"\s*\\\n\s*", " ", text).replace(" && ", "\n")


@pytest.mark.parametrize("name", ["Dockerfile", "Makefile"])
def test_every_package_is_installed_by_its_hash(name: str) -> None:
    """Or is our own, built by a backend that was."""
    found = installs((ROOT / name).read_text("utf-8"))
    assert len(found) >= 4
    for command in found:
        by_hash = "--require-hashes -r requirements" in command
        own = "--no-deps" in command and (
            "--no-build-isolation" in command or "--no-index /wheels/" in command
        )
        assert by_hash != own, command


def test_every_lock_has_a_hash_for_each_package() -> None:
    locks = sorted(ROOT.glob("requirements*.lock"))
    assert ROOT / "requirements-build.lock" in locks
    for lock in locks:
        text = joined(lock.read_text("utf-8"))
        packages = [line for line in text.splitlines() if "==" in line]
        assert packages
        assert not [line for line in packages if "--hash=sha256:" not in line], lock


def test_build_lock_has_what_the_build_system_requires() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (required,) = map(Requirement, project["build-system"]["requires"])
    (locked,) = re.findall(
        r"^(\S+)==(\S+)", (ROOT / "requirements-build.lock").read_text(), re.MULTILINE
    )
    assert locked[0] == required.name
    assert locked[1] in required.specifier


def test_scripts_run_by_the_build_are_copied_first() -> None:
    copied = {Path(source).name for source in copied_from_context()}
    scripts = re.findall(r"python3? (\w+\.py)", DOCKERFILE)
    assert scripts == ["prune_packages.py"]
    assert set(scripts) <= copied


def test_image_test_works_in_the_folder_of_the_dockerfile() -> None:
    script = ROOT / "infra" / "image" / "image-test"
    (change,) = re.findall(r"^cd .*$", script.read_text("utf-8"), re.MULTILINE)
    done = subprocess.run(
        ["bash", "-c", f"{change}; pwd", str(script)], capture_output=True, text=True, check=True
    )
    assert (Path(done.stdout.strip()) / "Dockerfile").is_file()


def test_pruning_keeps_what_the_worker_loads(tmp_path: Path) -> None:
    kept = [
        *(f"botocore/data/{name}/service-2.json" for name in sorted(SERVICE_MODELS)),
        "botocore/data/endpoints.json",
        "numpy/_core/multiarray.py",
        "pyarrow/libarrow.so.2200",
    ]
    unused = [
        "botocore/data/ec2/service-2.json",
        "numpy/_core/tests/test_a.py",
        "pyarrow/include/arrow/api.h",
        "pyarrow/libarrow_flight.so.2200",
    ]
    for name in (*kept, *unused):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"1234")
    assert prune(tmp_path) == 4 * len(unused)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {str(path.relative_to(tmp_path)) for path in files} == set(kept)
