"""Workers that run in loops and are killed, and what is seen of them from outside."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import psutil

ROOT = Path(__file__).resolve().parents[2]

SAMPLE_S = 0.1
"""Between two looks at a running worker."""

STOP_LIMIT_S = 10.0
"""A worker that is told to stop is gone by then."""


def command(uploads: Path, work: Path) -> list[str]:
    """`shopkpi run` over everything that is there."""
    return [
        *(sys.executable, "-m", "worker", "run", str(uploads), "--workspace", str(work)),
        *("--kpis", "order,category,product", "--format", "json"),
    ]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a worker.

    Attributes:
        at_s: When it began, in seconds of the soak.
        signal: What it was stopped by; None where it ended by itself.
        code: Its exit code.
        uploads: Files that had arrived then.
        rss_bytes: Most memory that it had until it was last seen.
        files: Most open files seen.
        error: The last it had to say, where it failed by itself or showed a traceback.
    """

    at_s: float
    signal: str | None
    code: int
    uploads: int
    rss_bytes: int
    files: int
    error: str | None


@dataclass
class Crew:
    """Threads that each keep one worker going.

    Args:
        uploads: Where files arrive.
        work: The workspace.
        seed: Decides who is killed when.

    Attributes:
        runs: Those that have ended.
    """

    uploads: Path
    work: Path
    seed: str
    runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._began_s = time.monotonic()
        self._whole_run_s = 1.0

    def start(self, workers: int) -> None:
        for number in range(workers):
            random = Random(f"{self.seed}-worker-{number}")
            thread = threading.Thread(target=self._keep_going, args=(random,))
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Let the runs that are going end."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _keep_going(self, random: Random) -> None:
        while not self._stop.is_set():
            which = random.choice((None, None, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
            # At any moment of a run, however long runs have become.
            self.runs.append(self.run(which, random.uniform(0.0, self._whole_run_s)))

    def run(self, which: signal.Signals | None = None, after_s: float = 0.0) -> Run:
        """One run, killed after a while if it is still going then."""
        began_s = time.monotonic()
        uploads = sum(1 for _ in self.uploads.glob("*/*.csv"))
        process = subprocess.Popen(
            command(self.uploads, self.work),
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        said: list[bytes] = []
        listener = threading.Thread(target=lambda: said.append(_read_all(process)))
        listener.start()
        rss_bytes = files = 0
        sent: signal.Signals | None = None
        sent_s = 0.0
        while process.poll() is None:
            now_s = time.monotonic()
            if which is not None and sent is None and now_s - began_s >= after_s:
                process.send_signal(which)
                sent, sent_s = which, now_s
            if sent is signal.SIGTERM and now_s - sent_s > STOP_LIMIT_S:
                process.kill()
                said.append(b"Traceback: it did not stop in time")
            seen = _look(process.pid)
            rss_bytes, files = max(rss_bytes, seen[0]), max(files, seen[1])
            time.sleep(SAMPLE_S)
        listener.join()
        if sent is None:
            self._whole_run_s = time.monotonic() - began_s
        text = b"".join(said).decode(errors="replace")
        failed = "Traceback" in text or (process.returncode != 0 and sent is None)
        stopped = sent is not None and process.returncode != 0
        return Run(
            at_s=began_s - self._began_s,
            signal=sent.name if sent is not None and stopped else None,
            code=process.returncode,
            uploads=uploads,
            rss_bytes=rss_bytes,
            files=files,
            error=text[-2000:] if failed else None,
        )


def _read_all(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stderr is not None
    with process.stderr as pipe:
        return pipe.read()


def _look(pid: int) -> tuple[int, int]:
    """Most resident bytes so far and open files of a process; zeros where it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        found = re.search(r"VmHWM:\s*(\d+) kB", status)
        return int(found[1]) * 1024 if found else 0, psutil.Process(pid).num_fds()
    except (OSError, psutil.Error):
        return 0, 0
