"""`python -m benchmarks`: run the cases, print the table, write the report."""

from __future__ import annotations

import argparse
import shutil
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import machine, report
from benchmarks.cases import CASES, Case
from benchmarks.cases.engines import Found
from benchmarks.chart import svg
from benchmarks.emulator import Missing
from benchmarks.kpis import Differs
from benchmarks.measure import ROOT, CommandFailed
from benchmarks.ours import WrongResult
from benchmarks.peers import PEERS
from benchmarks.report import GOAL_ORDERS
from benchmarks.results import Outcome, load, save
from benchmarks.rounds import Bench

# What a case may fail with; it is reported, and the other cases run on.
FAILURES = (CommandFailed, WrongResult, Differs, Missing)


def main() -> int:
    """Exit code 0: every case was measured; 1: some could not be; 2: wrong use."""
    options = _parser().parse_args()
    peers = tuple(PEERS[name] for name in options.peers)
    for peer in peers:
        lacks = peer.missing()
        if lacks:
            print(f"benchmarks: {peer.title} needs {lacks}", file=sys.stderr)
            return 2
    bench = Bench(
        scratch=options.scratch.absolute(), orders=options.orders, repeats=options.runs, peers=peers
    )
    bench.scratch.mkdir(parents=True, exist_ok=True)
    folder = options.results
    if folder is None:
        # A run that is not the shall not take the place of one that is.
        whole = options.orders == GOAL_ORDERS
        folder = Path(__file__).parent if whole else bench.scratch
    kept = bench.scratch / f"outcomes-{options.orders}.json"
    outcomes = {one.case: one for one in load(kept)}
    asked = [CASES[name] for name in options.cases]
    for case in asked:
        print(f"{case.name}: {case.title.format(orders=f'{bench.orders:,}')}", file=sys.stderr)
        outcomes[case.name] = _run(case, bench)
        save(kept, list(outcomes.values()))
    known = [outcomes[name] for name in CASES if name in outcomes]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "RESULTS.md").write_text(report.markdown(known, machine.describe()), "utf-8")
    if "clean" in outcomes and not outcomes["clean"].failed:
        (folder / "results.svg").write_text(_chart(outcomes["clean"]), "utf-8")
    print(report.terminal([outcomes[case.name] for case in asked]))
    return 1 if any(outcomes[case.name].failed for case in asked) else 0


def _run(case: Case, bench: Bench) -> Outcome:
    """Measure one case; what it wrote is removed again, its data and logs stay."""
    load_before = machine.load()
    failed = ""
    found: Found = [], [], ""
    try:
        found = case.run(bench)
    except FAILURES as failure:
        traceback.print_exc()
        said = " ".join(str(failure).split())
        failed = said if len(said) < 400 else f"{said[:150]} ... {said[-250:]}"
    finally:
        for folder in bench.folder("").glob(f"{case.name}*"):
            shutil.rmtree(folder)
    rows, runs, proof = found
    return Outcome(
        case=case.name,
        title=case.title.format(orders=f"{bench.orders:,}"),
        orders=bench.orders,
        measured_at=datetime.now(UTC).isoformat(timespec="minutes"),
        commit=machine.commit(),
        load=load_before,
        rows=rows,
        runs=runs,
        proof=proof,
        failed=failed,
    )


def _chart(clean: Outcome) -> str:
    engines = [runs for runs in clean.runs if runs.name != "floor"]
    described = machine.describe()
    return svg(
        f"{clean.orders:,} orders with their items: CSV to clean Parquet to daily KPIs",
        f"{described['CPU']}, {described['cores']} cores, {described['memory']}; "
        f"{clean.measured_at[:10]}",
        engines,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--cases",
        type=_names("case", list(CASES)),
        default=list(CASES),
        metavar="NAMES",
        help=f"of {', '.join(CASES)}; all by default",
    )
    parser.add_argument(
        "--peers",
        type=_names("peer", list(PEERS)),
        default=list(PEERS),
        metavar="NAMES",
        help=f"engines of the case `clean`, of {', '.join(PEERS)}; all by default, or `none`",
    )
    parser.add_argument("--orders", type=int, default=GOAL_ORDERS, help="of the main sample")
    parser.add_argument("--runs", type=int, default=3, help="of each subject (default: 3)")
    parser.add_argument(
        "--scratch",
        type=Path,
        default=ROOT / ".bench",
        help="folder for data, logs and results kept between runs (default: .bench)",
    )
    parser.add_argument(
        "--results",
        type=Path,
        help="folder for RESULTS.md and results.svg (default: benchmarks/, or the scratch folder "
        f"where --orders is not {GOAL_ORDERS})",
    )
    return parser


def _names(kind: str, known: Sequence[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        wrong = sorted(set(names) - set(known))
        if kind == "peer" and names == ["none"]:
            return []
        if wrong or not names:
            raise argparse.ArgumentTypeError(
                f"expected {kind}s of {', '.join(known)}, got {', '.join(wrong) or 'none'}"
            )
        return names

    return parse


if __name__ == "__main__":
    sys.exit(main())
