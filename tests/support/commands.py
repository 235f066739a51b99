"""Commands in this process, in a folder of their own, with all that they print."""

from __future__ import annotations

import io
import json
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from worker.cli import main


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
    def events(self) -> list[dict[str, Any]]:
        assert self.code == 0, self.err
        return [json.loads(line) for line in self.out.splitlines()]


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
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr("sys.argv", ["shopkpi", *arguments])
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as stopped:
            main()
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())  # type: ignore[attr-defined]  # a BytesIO
    code = stopped.value.code
    done = Done(code if isinstance(code, int) else int(bool(code)), *texts)
    if "SHOPKPI_DEBUG" not in environment:
        assert "Traceback" not in done.err, done.err
        assert "This should not happen" not in done.err, done.err
    return done
