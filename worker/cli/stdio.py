"""Standard streams of the process: blocking, escaped where needed, errors reported."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

from worker.cli.interrupts import end_by_ctrl_c
from worker.errors import WorkerError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def take_over() -> None:
    """Set up signals and standard streams for a command, for the rest of the process."""
    end_by_ctrl_c()
    # Else libuv, or a file, would get the number of a standard stream that is closed.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    # A process that shares the streams may have made them non-blocking; we wait for readers.
    os.set_blocking(1, True)
    os.set_blocking(2, True)
    # A character that the terminal's encoding lacks is shown escaped.
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Output(1, "wb", closefd=False)),
        encoding=getattr(sys.stdout, "encoding", None),  # absent where the stream was closed
        errors="backslashreplace",
        line_buffering=os.isatty(1),
    )
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(_ErrorOutput(2, "wb", closefd=False)),
        encoding=getattr(sys.stderr, "encoding", None),
        errors="backslashreplace",
        line_buffering=True,
    )


def discard(descriptor: int) -> None:
    """Redirect a descriptor to /dev/null: the interpreter flushes buffers when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


class _Output(io.FileIO):
    """Standard output that reports its errors; callers handle a broken pipe."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data) or 0  # 0: it would block, so the buffer tries again
        except BrokenPipeError:
            raise
        except OSError as error:
            discard(self.fileno())
            raise WorkerError(f"cannot write to standard output: {error.strerror}") from error


class _ErrorOutput(io.FileIO):
    """Standard error; where it cannot be written, only the exit code is left."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data) or 0  # 0: it would block, so the buffer tries again
        except OSError:
            return memoryview(data).nbytes
