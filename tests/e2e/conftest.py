"""The command line, for tests of what users see."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.support.commands import Shopkpi
from tests.support.commands import shopkpi as run


@pytest.fixture
def shopkpi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shopkpi:
    """The command line in an empty folder, without starting an interpreter each time."""
    monkeypatch.chdir(tmp_path)
    return partial(run, tmp_path)
