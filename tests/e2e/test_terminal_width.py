"""What people see on terminals of several widths: whole numbers, dates and ids; news first."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from functools import cache
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.e2e.files import put
from worker.cli.day_states import COMPLETENESS_RANKS
from worker.sample import SampleSpec, write_sample

ROOT = Path(__file__).parents[2]
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[^\n]*\r(?!\n)|(validate|transform) .*━.*\n")
"""Escape sequences, and progress bars, which are drawn over."""

WIDTHS = [60, 80, 100, 120]


def on_terminal(width: int, *arguments: str) -> tuple[int, list[str]]:
    """Run a command on a terminal; return its exit code and the lines that stay on it."""
    child, terminal = pty.fork()
    if child == 0:
        # GNU readline, which pytest imports, sets COLUMNS behind the back of `os.environ`.
        kept = {name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")}
        kept |= {"PYTHONPATH": str(ROOT), "TERM": "xterm", "SHOPKPI_SETTLE": "0"}
        command = [sys.executable, "-m", "worker", *arguments]
        os.execve(command[0], command, kept)  # noqa: S606
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    printed = b""
    while True:
        try:
            data = os.read(terminal, 2**16)
        except OSError:  # the process has closed its end
            break
        if not data:
            break
        printed += data
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    text = CONTROL.sub("", printed.decode().replace("\r\n", "\n"))
    return os.waitstatus_to_exitcode(status), text.split("\n")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with waiting items and rejects, and a file that is refused."""
    folder = tmp_path_factory.mktemp("terminal")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_sample(Path("shop"), SampleSpec(orders=3000, days=40, dirty=0.02, files=2))
        put("shop/orders/wednesday.csv", "who,knows\n1,2\n")
        code, lines = on_terminal(80, "run", "shop")
    assert code == 0
    (folder / "first-run.txt").write_text("\n".join(lines))
    return folder


def values(folder: Path) -> set[str]:
    """Dates, money, counts and ids that must be somewhere in the output as they are."""
    text = (folder / "first-run.txt").read_text()
    return set(re.findall(r"\d{4}-\d\d-\d\d|\d+\.\d\d|\d+,\d{3}|\b[0-9a-f]{16}\b", text))


@cache
def values_of(_: Path, *question: str) -> list[str]:
    """Dates, numbers and ids that a question shows where nothing is too narrow."""
    return re.findall(
        r"(?<![\w.])(?:\d{4}-\d\d-\d\d|\d+\.\d+|\d{1,3}(?:,\d{3})+|[0-9a-f]{16})(?![\w.,])",
        "\n".join(on_terminal(400, *question)[1]),
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "question",
    [
        ("query", "orders"),
        ("query", "category", "--top", "40"),
        ("ledger",),
        ("ledger", "orders_part1.csv"),
        ("rejects", "orders_part1.csv"),
        ("config", "show"),
    ],
)
def test_no_number_date_or_id_is_broken(
    shop: Path, monkeypatch: pytest.MonkeyPatch, width: int, question: tuple[str, ...]
) -> None:
    monkeypatch.chdir(shop)
    code, lines = on_terminal(width, *question)
    assert code == 0
    wanted = values_of(shop, *question)
    shown = "\n".join(lines)
    left_out = re.search(r"not shown: (.*?) \(", shown)
    for value in wanted:
        assert value in shown or left_out, value
    if question[0] == "query":
        assert wanted
        assert not left_out or set(left_out[1].split(", ")) <= set(COMPLETENESS_RANKS)
    too_wide = [line for line in lines if cell_len(line.rstrip()) > width]
    assert not [line for line in too_wide if "file://" not in line and "sqlite://" not in line]


@pytest.mark.parametrize("width", WIDTHS)
def test_run_says_first_what_was_refused_changed_and_waits(
    shop: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, width: int
) -> None:
    monkeypatch.chdir(tmp_path)
    code, lines = on_terminal(width, "run", str(shop / "shop"))
    assert code == 0
    first = "\n".join(lines[:10])
    assert "files: 1 refused, 6 accepted" in first
    assert "changed: 40 days (2025-01-01 to " in first
    assert "items wait for their order" in first
    assert "refused file:" in first
    shown = "\n".join(lines)
    for day in range(10, 31):
        assert f"2025-01-{day}" in shown
    assert [line for line in lines if re.match(r"\W*order_items/", line)]
