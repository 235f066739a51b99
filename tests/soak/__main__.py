"""Files arrive all the time, workers are killed all the time; at the end nothing may differ.

    python -m tests.soak --minutes 10 [--workspace DIR] [--seed TEXT]

Exit code 1 where anything differs, a worker shows a traceback or leaks.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.soak.files import write_files
from tests.soak.judge import Verdict, judge
from tests.soak.workers import ROOT, Crew, Run

MOST_FILES = 128
"""Open files of a worker, however many files have arrived."""

MOST_GROWTH_BYTES = 3 * 2**20
"""By which the memory of a worker may grow from the second third to the last: medians of runs with
more and less to do differ by so much."""

MOST_GROWTH_BYTES_A_FILE = {False: 2 * 2**10, True: 12 * 2**10}
"""And with each file that has arrived meanwhile: its ledger entry, and what is known of its clean
object. True: where it reads most of them, and holds what their footers tell."""

FEW_RUNS = 5
"""Of fewer in a third nothing is said."""

MOST_LEDGER_BYTES_AN_ENTRY = 2048
"""Database, KPI tables included."""

MOST_LEDGER_GROWTH = 1.1
"""By which an entry of the last third may take more of it than one of the second."""

MOST_LOG_BYTES = 2**24
"""SQLite's log: 4 MiB, from which on it is emptied, and what transactions add meanwhile."""

MOST_UNFINISHED = 8
"""Files that one killed worker may leave half written: of each source at once a clean object and
rejects. The next worker that writes there removes them, so that they do not add up."""


@dataclass(frozen=True, kw_only=True)
class Left:
    """What lies in the workspace at the end.

    Attributes:
        log_bytes: SQLite's log.
        objects: Clean objects and rejects.
        unfinished: Files that killed workers left half written.
        unfinished_bytes: Their size.
    """

    log_bytes: int
    objects: int
    unfinished: int
    unfinished_bytes: int


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--workspace", type=Path, help="kept afterwards; else a temporary one")
    parser.add_argument(
        "--seed", default="1", help="of files and kills; times are those of the day"
    )
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between a writer's files")
    options = parser.parse_args(arguments)
    if options.workspace is not None:
        options.workspace.mkdir(parents=True, exist_ok=True)
        if any(options.workspace.iterdir()):
            parser.error(f"--workspace {options.workspace}: expected an empty folder")
        return soak(options.workspace.absolute(), options)
    with tempfile.TemporaryDirectory(prefix="shopkpi-soak-") as folder:
        return soak(Path(folder).resolve(), options)


def soak(home: Path, options: argparse.Namespace) -> int:
    """Run writers and workers for a while, then judge; returns the exit code."""
    uploads, truths, work = home / "uploads", home / "truths", home / "work"
    for folder in (uploads, truths, work):
        folder.mkdir()
    processes = multiprocessing.get_context("spawn")
    stop = processes.Event()
    writers = [
        processes.Process(
            target=write_files,
            args=(f"writer{number}", uploads, truths, options.seed, options.pause, stop),
        )
        for number in range(options.writers)
    ]
    crew = Crew(uploads, work, options.seed)
    for writer in writers:
        writer.start()
    # The first run needs something to read.
    while not any(uploads.glob("*/*.csv")) and all(writer.is_alive() for writer in writers):
        time.sleep(0.05)
    crew.start(options.workers)
    try:
        time.sleep(60 * options.minutes)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
        crew.stop()
    last = crew.run()
    verdict = asyncio.run(judge(uploads, truths, work))
    left = _left(work)
    problems = [*verdict.differences, *_problems(crew.runs, last)]
    if options.minutes >= 5:
        problems += growth(crew.runs, left, options.workers)
    problems += [f"{one.name}: exit code {one.exitcode}" for one in writers if one.exitcode]
    audit = subprocess.run(
        [sys.executable, "-m", "worker", "audit", "--workspace", str(work), "--format", "json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if audit.returncode != 0:
        problems.append(f"audit: exit code {audit.returncode}: {audit.stdout}{audit.stderr}")
    sys.stdout.write(_report(options, crew.runs, last, verdict, left, problems))
    return 1 if problems else 0


def _problems(runs: list[Run], last: Run) -> list[str]:
    problems = [
        f"a worker failed with exit code {run.code}: {run.error}"
        for run in (*runs, last)
        if run.error is not None and not _is_cured_by_a_retry(run)
    ]
    if last.code != 0:
        problems.append(f"the last run ended with exit code {last.code}: {last.error}")
    if any(run.files > MOST_FILES for run in (*runs, last)):
        problems.append(f"a worker had more than {MOST_FILES} files open")
    return problems


def growth(runs: list[Run], left: Left, workers: int) -> list[str]:
    """What grew that should not, once there were enough files to tell."""
    problems = []
    for most, a_file in MOST_GROWTH_BYTES_A_FILE.items():
        grown, files = _grown([run for run in runs if run.read_most is most])
        if grown > MOST_GROWTH_BYTES + a_file * files:
            some = "most" if most else "some"
            problems.append(f"memory of runs that read {some} objects grew by {grown:.0f} bytes")
    _, middle, late = map(_bytes_an_entry, _thirds(runs))
    if middle and late > min(MOST_LEDGER_BYTES_AN_ENTRY, MOST_LEDGER_GROWTH * middle):
        problems.append(f"the database takes {late:.0f} bytes an entry, {middle:.0f} before")
    if left.log_bytes > MOST_LOG_BYTES:
        problems.append(f"SQLite's log has {left.log_bytes} bytes")
    if left.unfinished > workers * MOST_UNFINISHED:
        problems.append(f"{left.unfinished} files were left unfinished")
    return problems


def _is_cured_by_a_retry(run: Run) -> bool:
    """A file was replaced while a worker read it: exit code 1, and one sentence."""
    return run.code == 1 and "while it was being read" in (run.error or "")


def _thirds(runs: list[Run]) -> list[list[Run]]:
    """Undisturbed runs of each third of the time."""
    whole = [run for run in runs if run.code == 0]
    end_s = max((run.at_s for run in whole), default=0.0)
    return [
        [run for run in whole if third <= 3 * run.at_s / max(end_s, 1.0) < third + 1]
        for third in range(3)
    ]


def _memory(runs: list[Run]) -> float:
    return statistics.median([run.rss_bytes for run in runs] or [0])


def _files(runs: list[Run]) -> int:
    return max((run.files for run in runs), default=0)


def _grown(runs: list[Run]) -> tuple[float, float]:
    """Memory of the runs of the last third beyond that of the second, and the files that came
    between; in the first, the shop's first week is not over yet."""
    _, middle, late = _thirds(runs)
    if min(len(middle), len(late)) < FEW_RUNS:
        return 0.0, 0.0
    came = statistics.median(run.uploads for run in late) - statistics.median(
        run.uploads for run in middle
    )
    return _memory(late) - _memory(middle), came


def _more(grown: float, files: float) -> str:
    return f"{grown / 2**20:.1f} MiB with {files:.0f} files more"


def _bytes_an_entry(runs: list[Run]) -> float:
    known = [run.state_bytes / run.committed for run in runs if run.committed]
    return statistics.median(known or [0.0])


def _left(work: Path) -> Left:
    files = [path for path in work.rglob("*") if path.is_file()]
    unfinished = [path for path in files if path.name.startswith(".")]
    return Left(
        log_bytes=sum(path.stat().st_size for path in files if path.name.endswith(".db-wal")),
        objects=sum(path.suffix == ".parquet" and path not in unfinished for path in files),
        unfinished=len(unfinished),
        unfinished_bytes=sum(path.stat().st_size for path in unfinished),
    )


def _report(
    options: argparse.Namespace,
    runs: list[Run],
    last: Run,
    verdict: Verdict,
    left: Left,
    problems: list[str],
) -> str:
    signals = Counter(run.signal for run in runs if run.signal)
    thirds = _thirds(runs)
    retried = sum(run.error is not None and _is_cured_by_a_retry(run) for run in runs)
    every = (*runs, last)
    grown = {most: _grown([run for run in runs if run.read_most is most]) for most in (False, True)}
    lines = {
        "minutes": f"{options.minutes:g}, seed {options.seed}",
        "writers": f"{options.writers}, {verdict.versions} versions of files",
        "committed": f"{verdict.committed} versions with {verdict.rows} rows",
        "workers": f"{options.workers}, {len(every)} runs, {len(every) - sum(signals.values())} "
        f"of them to their end, {retried} to be retried as a file was replaced meanwhile",
        "killed": ", ".join(f"{count} by {name}" for name, count in sorted(signals.items())),
        "memory": f"{', '.join(str(_mib(_memory(third))) for third in thirds)} MiB, medians of the "
        f"thirds of the time; {_mib(max(run.rss_bytes for run in every))} MiB at most; from the "
        f"second to the last {_more(*grown[False])} where runs read some of the clean objects, "
        f"{_more(*grown[True])} where they read most",
        "open files": f"{', '.join(str(_files(third)) for third in thirds)} at most in each third",
        "ledger": f"{', '.join(f'{_bytes_an_entry(third):.0f}' for third in thirds)} bytes an "
        f"entry, medians of the thirds; {last.state_bytes / 2**20:.1f} MiB with the KPI tables at "
        "the end",
        "workspace": f"{left.objects} objects; {left.unfinished} files left unfinished "
        f"({left.unfinished_bytes} bytes)",
        "compared": f"{verdict.kpi_rows} KPI rows, {len(problems)} differences",
    }
    text = "".join(f"{name:<12}{value}\n" for name, value in lines.items())
    return text + "".join(f"  {problem}\n" for problem in problems[:20])


def _mib(size_bytes: float) -> int:
    return round(size_bytes / 2**20)


if __name__ == "__main__":
    sys.exit(main())
