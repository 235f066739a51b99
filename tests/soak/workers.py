"""Workers that run in loops and are killed, and what is seen of them from outside."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import IO

import orjson
import psutil

ROOT = Path(__file__).resolve().parents[2]

SAMPLE_S = 0.1
"""Time between two measurements of a running worker."""

STOP_LIMIT_S = 10.0
"""Time in which a worker ends after a signal."""


EVERYTHING = 0.1
"""Share of runs over the whole folder, as a person starts them; others get a few files."""

SAID_AGAIN = 5
"""Known files that a run gets again."""

MARGIN_S = 2.0
"""Upper bound of the time from the mtime of a file to its listing."""


MOST = 0.5
"""Share of the clean zone's bytes that a run reads which computes nearly every day."""

LEFT_OUT = "it ended well, but did not commit"


def command(inputs: Sequence[Path], work: Path) -> list[str]:
    """`shopkpi run` over some files or folders."""
    return [
        *(sys.executable, "-m", "worker", "run", *map(str, inputs), "--workspace", str(work)),
        *("--kpis", "order,category,product", "--format", "json"),
    ]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a worker.

    Attributes:
        at_s: When it began, in seconds of the soak.
        read_most: Whether it ran over the whole folder, or read most of the clean zone. It does
            where a product changes its category, since the product may be sold on any day.
        signal: Signal that stopped it; None where it ended by itself.
        code: Its exit code.
        uploads: Files that had arrived then.
        committed: Entries of the ledger after its end.
        state_bytes: Size of the database then, KPI tables included.
        rss_bytes: Peak of its resident memory, as last measured.
        files: Most open files seen.
        error: The end of its output where it failed by itself or showed a traceback, or the files
            that it left out; None where all is well.
    """

    at_s: float
    read_most: bool
    signal: str | None
    code: int
    uploads: int
    committed: int
    state_bytes: int
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
        known_s = 0.0
        while not self._stop.is_set():
            which = random.choice((None, None, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
            now_s = time.time()
            inputs = [self.uploads]
            if random.random() >= EVERYTHING:
                inputs = _written_since(self.uploads, known_s - MARGIN_S, random)
            # At any moment of a run, however long runs have become.
            done = self.run(which, random.uniform(0.0, self._whole_run_s), inputs)
            self.runs.append(done)
            if done.code == 0:
                known_s = now_s

    def run(
        self,
        which: signal.Signals | None = None,
        after_s: float = 0.0,
        inputs: Sequence[Path] = (),
    ) -> Run:
        """Run a worker over everything or some files; kill it if it still runs after a while."""
        began_s = time.monotonic()
        every = _files(self.uploads)
        everything = not inputs or self.uploads in inputs
        given = {path: path.stat().st_mtime_ns for path in (every if everything else inputs)}
        process = subprocess.Popen(
            command(inputs or [self.uploads], self.work),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        events: list[bytes] = []
        said: list[bytes] = []
        listeners = [
            threading.Thread(target=lambda: events.append(_read_all(process.stdout))),
            threading.Thread(target=lambda: said.append(_read_all(process.stderr))),
        ]
        for listener in listeners:
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
        for listener in listeners:
            listener.join()
        if sent is None:
            self._whole_run_s = time.monotonic() - began_s
        text = b"".join(said).decode(errors="replace")
        if process.returncode == 0:
            text += left_out(given, self.work / "shopkpi.db")
        failed = any(word in text for word in ("Traceback", LEFT_OUT)) or (
            process.returncode != 0 and sent is None
        )
        stopped = sent is not None and process.returncode != 0
        committed, state_bytes = _ledger(self.work / "shopkpi.db")
        return Run(
            at_s=began_s - self._began_s,
            read_most=everything or read_share(b"".join(events)) >= MOST,
            signal=sent.name if sent is not None and stopped else None,
            code=process.returncode,
            uploads=len(every),
            committed=committed,
            state_bytes=state_bytes,
            rss_bytes=rss_bytes,
            files=files,
            error=text[-2000:] if failed else None,
        )


def _files(uploads: Path) -> list[Path]:
    """List the files that have arrived; hidden ones are being written."""
    return sorted(uploads.glob("*/[!.]*.csv"))


def left_out(given: Mapping[Path, int], ledger: Path) -> str:
    """Name the files of a successful run that the ledger lacks; "" where there are none."""
    known: dict[str, int] = {}
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=60.0)) as db:
        columns = "json_extract(record, '$.url'), json_extract(record, '$.version')"
        query = f"SELECT {columns} FROM ledger WHERE kind = 'entry'"
        for url, version in db.execute(query):
            known[url] = max(known.get(url, 0), int(version.split(":")[1]))
    # It may have been replaced meanwhile.
    left = [
        path for path, written_ns in given.items() if known.get(f"file://{path}", 0) < written_ns
    ]
    return f"{LEFT_OUT} {left}" if left else ""


def _written_since(uploads: Path, since_s: float, random: Random) -> list[Path]:
    """List the files written since a time, and some others."""
    every = _files(uploads)
    new = [path for path in every if path.stat().st_mtime >= since_s]
    again = random.sample(every, min(SAID_AGAIN, len(every)))
    return list(dict.fromkeys((*new, *again)))


def _ledger(path: Path) -> tuple[int, int]:
    """Return the number of entries and the size of the database; zeros where there is none."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60.0)) as db:
            (entries,) = db.execute("SELECT count(*) FROM ledger WHERE kind = 'entry'").fetchone()
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            (page_bytes,) = db.execute("PRAGMA page_size").fetchone()
            return entries, pages * page_bytes
    except sqlite3.Error:
        return 0, 0


def _read_all(pipe: IO[bytes] | None) -> bytes:
    assert pipe is not None
    with pipe:
        return pipe.read()


def read_share(events: bytes) -> float:
    """Return the share of the clean zone's bytes that a run has read."""
    for line in events.splitlines():
        # The last line of a killed worker may be half a line.
        if line.startswith(b'{"event":"kpis.published"') and line.endswith(b"}"):
            given = orjson.loads(line)
            return float(given["clean_bytes_read"] / max(given["clean_bytes"], 1))
    return 0.0


def _look(pid: int) -> tuple[int, int]:
    """Return the peak resident bytes and open files of a process; zeros where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        found = re.search(r"VmHWM:\s*(\d+) kB", status)
        return int(found[1]) * 1024 if found else 0, psutil.Process(pid).num_fds()
    except (OSError, psutil.Error):
        return 0, 0
