"""The process that a command runs in, and its standard streams."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

from worker.cli.interrupts import end_by_ctrl_c
from worker.errors import WorkerError


def take_over() -> None:
    """Make this process that of the command line, for good."""
    end_by_ctrl_c()
    # libuv, or a file, would be given the number of a standard stream that is closed.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    # Whoever shares them may have changed that; we wait for readers.
    os.set_blocking(1, True)
    os.set_blocking(2, True)
    # A character that the terminal's encoding does not have is shown escaped.
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Output(1, "wb", closefd=False)),
        encoding=getattr(sys.stdout, "encoding", None),  # there is none where it was closed
        errors="backslashreplace",
        line_buffering=os.isatty(1),
    )
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(_Complaints(2, "wb", closefd=False)),
        encoding=getattr(sys.stderr, "encoding", None),
        errors="backslashreplace",
        line_buffering=True,
    )


def discard(descriptor: int) -> None:
    """Let go nowhere what is still written: else the interpreter would complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


class _Output(io.FileIO):
    """Standard output, whose errors are told as such; a broken pipe is for its users to judge."""

    def write(self, data: Any, /) -> int:  # noqa: ANN401  (any buffer)
        try:
            return super().write(data) or 0  # again, where it would block
        except BrokenPipeError:
            raise
        except OSError as error:
            discard(self.fileno())
            raise WorkerError(f"cannot write to standard output: {error.strerror}") from error


class _Complaints(io.FileIO):
    """Standard error: where it cannot be written, the exit code tells all there is to tell."""

    def write(self, data: Any, /) -> int:  # noqa: ANN401  (any buffer)
        try:
            return super().write(data) or 0  # again, where it would block
        except OSError:
            return memoryview(data).nbytes
