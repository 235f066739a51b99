"""Sources and stores of a command are opened, and closed, together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from worker import inputs
from worker.errors import ConfigError, StoreError
from worker.inputs import open_all
from worker.settings import Settings, read_settings
from worker.validate.discovery import Inputs

LOCAL, REMOTE = "somewhere", "s3://clean"


def settings(workspace: str, state: str = "dynamodb://shop") -> Settings:
    return read_settings(workspace=workspace, state=state, contract=None)


class Opened:
    """What `open_all` opens, as long as it takes, and what became of it."""

    def __init__(self, wait_s: dict[str, float], wrong: dict[str, Exception]) -> None:
        self.events: list[str] = []
        self._wait_s, self._wrong = wait_s, wrong

    @asynccontextmanager
    async def _open(self, name: str, given: object) -> AsyncIterator[object]:
        self.events.append(f"{name} begun")
        try:
            await asyncio.sleep(self._wait_s.get(name, 0))
            if name in self._wrong:
                raise self._wrong[name]
            yield given
        finally:
            self.events.append(f"{name} closed")

    def sources(self, inputs: Sequence[str], *_: object) -> object:
        del inputs
        return self._open("sources", [])

    async def find(self, *_: object) -> Inputs:
        return Inputs(sources=[])

    def session(self, given: Settings, **_: object) -> object:
        return self._open("session", SimpleNamespace(settings=given, adoption=object()))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    found = Opened({}, {})
    monkeypatch.setattr(inputs, "open_inputs", found.sources)
    monkeypatch.setattr(inputs, "find_inputs", found.find)
    monkeypatch.setattr(inputs, "open_session", found.session)
    return found


@pytest.mark.parametrize("workspace", [LOCAL, REMOTE])
@pytest.mark.parametrize("slow", ["sources", "session"])
async def test_both_are_open_in_the_block_and_closed_behind_it(
    opened: Opened, workspace: str, slow: str
) -> None:
    opened._wait_s[slow] = 0.01
    async with open_all(["x"], settings(workspace), None):
        assert sorted(opened.events) == ["session begun", "sources begun"]
    assert sorted(opened.events[2:]) == ["session closed", "sources closed"]


@pytest.mark.parametrize("workspace", [LOCAL, REMOTE])
@pytest.mark.parametrize("slow", ["sources", "session"])
async def test_an_error_of_the_sources_is_told_first(
    opened: Opened, workspace: str, slow: str
) -> None:
    opened._wait_s[slow] = 0.01 if slow == "sources" else 60
    opened._wrong |= {"sources": ConfigError("sources"), "session": StoreError("session")}
    with pytest.raises(ConfigError, match="sources"):
        async with asyncio.timeout(5), open_all(["x"], settings(workspace), None):
            pass
    assert opened.events.count("session begun") == opened.events.count("session closed")


@pytest.mark.parametrize("workspace", [LOCAL, REMOTE])
@pytest.mark.parametrize("slow", ["sources", "session"])
async def test_a_state_that_cannot_be_opened_closes_the_sources(
    opened: Opened, workspace: str, slow: str
) -> None:
    opened._wait_s[slow] = 0.01
    opened._wrong["session"] = StoreError("session")
    with pytest.raises(StoreError, match="session"):
        async with open_all(["x"], settings(workspace), None):
            pass
    assert "sources closed" in opened.events


async def test_no_database_is_made_for_input_that_is_not_there(opened: Opened) -> None:
    opened._wait_s["sources"] = 0.01
    opened._wrong["sources"] = ConfigError("sources")
    with pytest.raises(ConfigError, match="sources"):
        async with open_all(["x"], settings(REMOTE, "sqlite:///tmp/shop.db"), None):
            pass
    assert "session begun" not in opened.events


async def test_an_error_in_the_block_goes_through(opened: Opened) -> None:
    with pytest.raises(RuntimeError, match="on purpose"):
        async with open_all(["x"], settings(REMOTE), None):
            raise RuntimeError("on purpose")
    assert sorted(opened.events[2:]) == ["session closed", "sources closed"]


def test_a_wrong_input_leaves_no_folder(tmp_path: Path) -> None:
    async def run() -> None:
        given = read_settings(workspace=str(tmp_path / "work"), state=None, contract=None)
        async with open_all([str(tmp_path / "nowhere")], given, None):
            pass

    with pytest.raises(ConfigError, match="nothing is there"):
        asyncio.run(run())
    assert list(tmp_path.iterdir()) == []
