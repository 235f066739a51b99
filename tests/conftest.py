"""Fixtures, markers and the Hypothesis profile of all tests."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.recovery.summary import pytest_terminal_summary
from tests.support.commands import Shopkpi
from tests.support.commands import shopkpi as run
from tests.support.distribution import Distribution
from tests.support.emulators import EMULATORS, ministack, moto
from tests.support.profiles import load_profile

# Imported here alone: a second import would be a second fixture, with an emulator of its own.
__all__ = ["ministack", "moto", "pytest_terminal_summary"]

load_profile()

# Tests write files and read them at once; those of settling wait on their own.
os.environ.setdefault("SHOPKPI_SETTLE", "0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use an emulator of AWS."""
    for item in items:
        if isinstance(item, pytest.Function) and uses_emulator(item):
            item.add_marker(pytest.mark.emulated)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Distribution:
    """Distribute tests over the processes of `pytest -n`."""
    return Distribution(config, log)


def uses_emulator(item: pytest.Function) -> bool:
    """Whether a fixture is an emulator, or a parameter such as `dynamodb-moto` names one."""
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    named = {part for value in parameters if isinstance(value, str) for part in value.split("-")}
    return not EMULATORS.isdisjoint({*item.fixturenames, *named})


@pytest.fixture
def shopkpi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shopkpi:
    """Run the command line in an empty folder, inside this process."""
    monkeypatch.chdir(tmp_path)
    return partial(run, tmp_path)
