"""Standard streams that are closed, full or not waited for, and Ctrl-C before the work begins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from signal import SIGINT

import pytest

from kpi.contract.loading import built_in
from tests.e2e.files import put_shop
from tests.support.commands import ROOT

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}
COMMAND = (sys.executable, "-m", "worker")

needs_dev_full = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="there is no device without space"
)


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put_shop()


def started(words: str, redirected: str) -> subprocess.CompletedProcess[str]:
    """A command as a shell starts it."""
    shell = ["sh", "-c", f'exec "$@" {redirected}', "sh", *COMMAND, *words.split()]
    return subprocess.run(shell, env=ENVIRONMENT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_any_stream_may_be_closed(closed: str) -> None:
    done = started("run shop", closed)
    assert (done.returncode, done.stderr) == (0, "")
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert events[-1:] == ([] if "1>&-" in closed else ["kpis.published"])
    assert len(json.loads(started("query orders", "").stdout)) == 2


@pytest.mark.parametrize("closed", ["0<&-", "1>&-"])
def test_wrong_use_is_told_where_streams_are_closed(closed: str) -> None:
    done = started("query orders", closed)
    assert done.returncode == 2
    assert "nothing is there" in done.stderr


@needs_dev_full
def test_output_that_cannot_be_written_is_told_in_one_sentence() -> None:
    assert started("run shop", "").returncode == 0
    for words in (
        "--help",
        "contract show",
        "run shop --format json",
        "run shop --format table",
        "query orders --format csv",
        "query orders --format json",
        "query orders --format table",
        "ledger --format json",
        "sample other --orders 3",
    ):
        done = started(words, ">/dev/full")
        assert done.returncode == 1, words
        (line,) = done.stderr.splitlines()
        if words in ("run shop --format json", "sample other --orders 3"):
            line = f"shopkpi: {json.loads(line)['problem']}"
        assert line == "shopkpi: cannot write to standard output: No space left on device"
    assert "Bad file descriptor" in started("query orders", "1</dev/null").stderr


@needs_dev_full
def test_the_exit_code_tells_where_standard_error_cannot() -> None:
    assert started("query orders --from monday", "2>/dev/full").returncode == 2
    assert started("quer", "2>/dev/full").returncode == 2


def test_what_the_terminal_has_no_characters_for_is_escaped() -> None:
    Path("shop/products/1.csv").write_text("id,category\n1,Café\n", "utf-8")
    done = started("run shop", "")
    assert done.returncode == 0, done.stderr
    ascii_only = ENVIRONMENT | {"PYTHONIOENCODING": "ascii"}
    for form in ("csv", "table"):
        query = [*COMMAND, "query", "category", "--format", form]
        assert b"Caf\\xe9" in subprocess.check_output(query, env=ascii_only)


def test_a_pipe_that_does_not_block_is_waited_for() -> None:
    """Others may share it, and want it so."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    filled = os.write(writing, bytes(2**20))
    words = [*COMMAND, "contract", "show"]
    with subprocess.Popen(words, env=ENVIRONMENT, stdout=writing) as showing:
        os.close(writing)
        with pytest.raises(subprocess.TimeoutExpired):
            showing.wait(1)
        with open(reading, "rb") as pipe:  # noqa: PTH123
            assert pipe.read()[filled:].decode() == built_in("default").text
    assert showing.returncode == 0


PRESSED = """
import signal, sys
from importlib.abc import MetaPathFinder

class Pressed(MetaPathFinder):
    def find_spec(self, name, *_):
        if name == moment:
            signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # though it may be ignored here
moment = sys.argv.pop(1)
sys.meta_path.insert(0, Pressed())
from worker.cli import main
main()
"""


@pytest.mark.parametrize("moment", ["click", "worker.cli.run", "worker.settings", "uvloop"])
def test_ctrl_c_is_quiet_while_modules_are_imported(moment: str) -> None:
    words = [sys.executable, "-c", PRESSED, moment, "run", "shop"]
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (-SIGINT, b"")
