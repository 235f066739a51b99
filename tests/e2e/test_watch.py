"""`shopkpi watch` as a process: files that arrive in pieces, names that change, signals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals

import pytest

from tests.e2e.files import put_shop
from tests.support.commands import ROOT, Shopkpi

WAIT_S = 30.0


class Watching:
    """A process that watches `shop` of the current folder."""

    def __init__(self, home: Path, *options: str) -> None:
        self.log = home / "watch.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "worker", "watch", "shop", "--every", "0.1", *options],
                cwd=home,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def events(self, name: str) -> list[dict[str, object]]:
        lines = self.log.read_text().splitlines(keepends=True)
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [one for one in found if one["event"] == name]

    def wait_for(self, name: str, count: int = 1) -> list[dict[str, object]]:
        ends_s = time.monotonic() + WAIT_S
        while len(self.events(name)) < count:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < ends_s, self.log.read_text()
            time.sleep(0.05)
        return self.events(name)

    def stop(self, which: Signals = SIGTERM) -> int:
        self.process.send_signal(which)
        return self.process.wait(WAIT_S)


def published(shopkpi: Shopkpi) -> list[dict[str, object]]:
    """Rows of the days, but for when they were published."""
    when = ("as_of", "published_at")
    found = shopkpi("query", "orders").json
    return [{name: one[name] for name in one if name not in when} for one in found]


@pytest.fixture
def watching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watching]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop").mkdir()
    started = Watching(tmp_path, "--settle", "0.5")
    try:
        yield started
    finally:
        started.process.kill()
        started.process.wait(WAIT_S)


def test_files_are_read_as_they_arrive(watching: Watching, shopkpi: Shopkpi) -> None:
    watching.wait_for("watch.started")
    Path("shop/notes.txt").write_text("no data")
    told = watching.wait_for("watch.failed")
    assert (told[0]["retry_s"], told[0]["level"]) == (None, "warning")
    put_shop()
    committed = {str(one["url"]) for one in watching.wait_for("source.committed", 3)}
    assert len(committed) == 3
    watching.wait_for("kpis.published")
    before = published(shopkpi)

    # A copy that goes on for longer than a look, and than --settle from its first byte.
    text = Path("shop/orders/1.csv").read_bytes()
    header, *rows = text.splitlines(keepends=True)
    with Path("shop/orders/2.csv").open("wb") as growing:
        for piece in (header, *rows):
            for half in (piece[:5], piece[5:]):
                growing.write(half)
                growing.flush()
                time.sleep(0.2)
    watching.wait_for("source.committed", 4)
    Path("shop/orders/2.csv").rename("shop/orders/3.csv")
    watching.wait_for("source.copy", 2)

    assert watching.stop() == 0
    assert watching.events("watch.stopped")
    assert [one["rows_read"] for one in watching.events("source.committed")][3] == len(rows)
    assert published(shopkpi) == before


def test_ctrl_c_is_no_failure(watching: Watching) -> None:
    watching.wait_for("watch.started")
    assert watching.stop(SIGINT) == 0
    assert [one["event"] for one in map(json.loads, watching.log.read_text().splitlines())] == [
        "watch.started",
        "watch.stopped",
    ]


def test_a_folder_that_is_not_there_is_wrong_use(shopkpi: Shopkpi) -> None:
    done = shopkpi("watch", "shpo")
    assert done.code == 2
    assert "nothing is there" in done.err
