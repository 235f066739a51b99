"""Commands in this process, in a folder of their own, with all that they print."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

from worker.cli import main
from worker.cli import shopkpi as group

ROOT = Path(__file__).parents[2]


class Done(NamedTuple):
    """What a command returned and printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def kpis(self) -> list[str]:
        """Lines of CSV of `query orders`, without what says whether a day is complete."""
        head, *lines = self.out.splitlines()
        count = head.split(",").index("state")
        return [",".join(line.split(",")[:count]) for line in lines]

    @property
    def events(self) -> list[dict[str, Any]]:
        assert self.code in (0, 4), self.err  # 4: everything was done, and every file refused
        return [json.loads(line) for line in self.out.splitlines()]


Shopkpi = Callable[..., Done]
"""The command line in some folder."""


def every_command(
    parent: click.Group = group, name: str = "shopkpi"
) -> Iterator[tuple[str, click.Command]]:
    """Full name of each command that does something, and its definition."""
    context = click.Context(parent)
    for child in parent.list_commands(context):
        command = parent.get_command(context, child)
        if isinstance(command, click.Group):
            yield from every_command(command, f"{name} {child}")
        elif command is not None:
            yield f"{name} {child}", command


def shopkpi(home: Path, *arguments: str, **environment: str) -> Done:
    """Run a command in `home`; no user ever sees a traceback."""
    out, err = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", errors=errors, newline="")
        for errors in ("strict", "backslashreplace")  # as Python opens them for programs
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        for name in [name for name in os.environ if name.startswith("SHOPKPI_")]:
            patch.delenv(name)
        patch.setenv("SHOPKPI_SETTLE", "0")  # tests write files and read them at once
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr("sys.argv", ["shopkpi", *arguments])
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as stopped:
            main()
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    code = stopped.value.code
    done = Done(code if isinstance(code, int) else int(bool(code)), *texts)
    if "SHOPKPI_DEBUG" not in environment:
        assert "Traceback" not in done.err, done.err
        assert "This should not happen" not in done.err, done.err
    return done


class Measured(NamedTuple):
    """What a process of its own printed on both streams, and what it took."""

    code: int
    out: str
    peak_mib: float
    user_s: float


_LAUNCHER = """
import json, resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    json.dump([code, used.ru_maxrss / 1024, used.ru_utime], file)
"""


def shopkpi_process(home: Path, *arguments: str) -> Measured:
    """Run a command in `home`, in a process of its own.

    The kernel lets the peak of a process begin with that of the one it was forked from, and ours
    may be of any size: so a small one stands between.
    """
    usage = home / "usage.json"
    command = [sys.executable, "-m", "worker", *arguments]
    done = subprocess.run(
        [sys.executable, "-c", _LAUNCHER, str(usage), *command],
        cwd=home,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    code, peak_mib, user_s = json.loads(usage.read_text())
    usage.unlink()
    return Measured(code, done.stdout, peak_mib, user_s)
