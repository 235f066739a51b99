"""The benchmark harness: it runs, proves that the same job was done, and reports what it saw.

Nothing here asserts how long anything takes.
"""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from benchmarks import cost, kpis, ours, report
from benchmarks.chart import svg
from benchmarks.data import sample
from benchmarks.emulator import client_environment
from benchmarks.measure import ROOT, CommandFailed, measure
from benchmarks.results import Outcome, Row, Runs, load, save
from benchmarks.without_pandas import NoPandas
from worker.objects.s3_client import BucketClient
from worker.runtime.retry import RetryPolicy

# Each run starts engines as processes.
pytestmark = pytest.mark.slow

ORDERS = 5_000


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A quick run of the main case: the scratch folder, and what was printed."""
    scratch = tmp_path_factory.mktemp("bench")
    command = [sys.executable, "-m", "benchmarks", "--cases", "clean", "--peers", "duckdb"]
    options = ["--orders", str(ORDERS), "--runs", "1", "--scratch", str(scratch)]
    done = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return scratch, done.stdout


def test_quick_run_reports_ours_the_peer_and_the_floor(bench: tuple[Path, str]) -> None:
    scratch, printed = bench
    assert "wall, of DuckDB's" in printed
    text = (scratch / "RESULTS.md").read_text()
    for expected in ("| CPU |", "| shopkpi (1) |", "| DuckDB (1) |", "| floor (1) |", "≤ 0.60"):
        assert expected in text
    assert f"Goals are for 4,000,000 orders, this was {ORDERS:,}" in text
    assert "KPI rows of DuckDB equal ours" in text


def test_quick_run_measured_every_subject(bench: tuple[Path, str]) -> None:
    (outcome,) = load(bench[0] / f"outcomes-{ORDERS}.json")
    assert [runs.name for runs in outcome.runs] == ["shopkpi", "DuckDB", "floor"]
    for runs in outcome.runs:
        assert min(runs.wall_s) > 0
        assert min(runs.cpu_s) > 0
        assert runs.peak_mib > 20  # an interpreter with pyarrow or DuckDB in it
    assert (bench[0] / "results.svg").read_text().count("<rect") == 4


def test_quick_run_cleans_up_and_leaves_the_reports_of_the_project_alone(
    bench: tuple[Path, str],
) -> None:
    work = bench[0] / "work"
    assert not list(work.iterdir())
    for name in ("RESULTS.md", "results.svg"):
        kept = ROOT / "benchmarks" / name
        assert not kept.exists() or f"{ORDERS:,} orders, clean" not in kept.read_text()


def test_sample_is_made_once_and_anew_where_it_was_cut_short(bench: tuple[Path, str]) -> None:
    made = sample(bench[0], orders=ORDERS)
    assert made.rows["orders"] == ORDERS
    assert made.size_bytes == sum(path.stat().st_size for path in made.files)
    before = made.files[0].stat().st_mtime_ns
    assert sample(bench[0], orders=ORDERS).files[0].stat().st_mtime_ns == before
    made.folder.with_name(f"{made.folder.name}.json").unlink()
    assert sample(bench[0], orders=ORDERS).files[0].stat().st_mtime_ns != before


def test_unknown_names_are_wrong_use() -> None:
    for wrong in (["--cases", "clena"], ["--peers", "duckbd"]):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", *wrong],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert wrong[1] in done.stderr


def a_day(**changes: str) -> kpis.Kpis:
    values = {
        "total_orders": "3",
        "total_revenue": "10.00",
        "total_items_sold": "6",
        "return_rate": "0.3333",
        "unique_customers": "3",
    }
    row = {name: Decimal(value) for name, value in (values | changes).items()}
    return {"order_kpis": {("2025-01-01",): row}, "category_kpis": {}}


@pytest.mark.parametrize(
    ("changes", "exact"),
    [
        ({"total_revenue": "10.01"}, True),
        ({"total_revenue": "10.02"}, False),
        ({"total_orders": "4"}, False),
        ({"return_rate": "0.3335"}, False),
    ],
)
def test_other_kpis_are_found_out(changes: dict[str, str], exact: bool) -> None:
    with pytest.raises(kpis.Differs, match=next(iter(changes))):
        kpis.check_same(a_day(), a_day(**changes), exact=exact)


def test_floats_may_be_a_cent_off_and_rates_a_step() -> None:
    changed = a_day(total_revenue="10.01", return_rate="0.3334")
    kpis.check_same(a_day(), changed, exact=False)


def test_a_missing_day_is_found_out() -> None:
    nothing: kpis.Kpis = {"order_kpis": {}, "category_kpis": {}}
    with pytest.raises(kpis.Differs, match="2025-01-01: ours alone"):
        kpis.check_same(a_day(), nothing, exact=False)
    with pytest.raises(kpis.Differs, match="theirs alone"):
        kpis.check_same(nothing, a_day(), exact=False)


BURN = """
import subprocess, sys, time
held = bytearray(%d * 2**20)
held[::4096] = b"x" * len(held[::4096])
if len(sys.argv) > 1:
    child = subprocess.Popen([sys.executable, *sys.argv[1:]])
    child.wait()
end = time.process_time() + 0.3
while time.process_time() < end:
    pass
print(time.process_time())
"""


def test_memory_and_cpu_of_descendants_count(tmp_path: Path) -> None:
    """Two processes hold 60 MiB each at the same time and burn 0.3 s of CPU each."""
    script = tmp_path / "burn.py"
    script.write_text(BURN % 60)
    usage = measure([sys.executable, str(script), str(script)], log=tmp_path / "log")
    used_s = sum(map(float, usage.output.split()))
    assert used_s >= 0.6
    # The kernel counts CPU in ticks of up to 10 ms.
    assert usage.cpu_s >= used_s - 0.05
    assert 120 < usage.peak_bytes / 2**20 < 180
    assert usage.wall_s > 0


def test_a_failed_command_is_told_with_what_it_said(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"]
    with pytest.raises(CommandFailed, match=r"exit code 3\n.*no luck"):
        measure(command, log=tmp_path / "log")


def test_rows_of_a_run_are_held_against_the_sample(bench: tuple[Path, str]) -> None:
    scratch = bench[0]
    clean, other = sample(scratch, orders=50), sample(scratch, orders=60)
    usage = measure(
        ours.command("run", clean.folder, workspace=scratch / "w1"), log=scratch / "log"
    )
    ours.check_rows(usage, clean)
    with pytest.raises(ours.WrongResult, match="expected rows"):
        ours.check_rows(usage, other)
    broken = sample(scratch, orders=50, dirty=0.2)  # more than a contract allows
    with pytest.raises(CommandFailed, match="files were refused"):
        measure(ours.command("run", broken.folder, workspace=scratch / "w2"), log=scratch / "log")


def outcome(best: float, orders: int) -> Outcome:
    runs = Runs(name="shopkpi", wall_s=(2.0, 1.0, 4.0), cpu_s=(3.0,) * 3, peak_bytes=(2**20,) * 3)
    row = Row(what="wall", ours="1 s", best=best, median=0.7, limit=0.6)
    return Outcome(
        case="clean",
        title="Clean",
        orders=orders,
        measured_at="2025-01-01T00:00+00:00",
        commit="abc",
        load=0.1,
        rows=[row],
        runs=[runs],
    )


def test_goals_are_judged_by_the_best_run() -> None:
    met = report.markdown([outcome(0.6, 4_000_000)], {"CPU": "one"})
    missed = report.markdown([outcome(0.61, 4_000_000)], {"CPU": "one"})
    assert "| wall | ≤ 0.60 | 1 s |  | 0.60 | 0.70 | yes |" in met
    assert "| wall | ≤ 0.60 | 1 s |  | 0.61 | 0.70 | no |" in missed
    assert "| shopkpi (3) | 1.00 s | 2.00 s | 3.00 s | 3.00 s | 1 MiB |" in met
    assert "Goals are for" not in met


def test_outcomes_survive_being_kept(tmp_path: Path) -> None:
    known = [outcome(0.5, 4_000_000)]
    save(tmp_path / "outcomes.json", known)
    assert load(tmp_path / "outcomes.json") == known
    assert load(tmp_path / "nothing.json") == []


def test_chart_has_the_quickest_first_and_escapes_text() -> None:
    slow = Runs(name="<slow>", wall_s=(9.0,), cpu_s=(1.0,), peak_bytes=(2**30,))
    ours = Runs(name="shopkpi", wall_s=(3.0,), cpu_s=(1.0,), peak_bytes=(2**28,))
    drawn = svg("title", "footer", [slow, ours])
    assert drawn.index("shopkpi") < drawn.index("&lt;slow&gt;")
    assert "<slow>" not in drawn
    assert drawn.count("<rect") == 4


def test_costs_follow_from_the_measured_seconds() -> None:
    """At 1 GB: 36 s on 2 vCPU and 4 GB is 0.01 h of both; Spark's 72 CPU seconds are 0.02 h."""
    ours_run = Runs(name="shopkpi", wall_s=(36.0,), cpu_s=(50.0,), peak_bytes=(2**28,))
    spark = Runs(name="Spark local[2]", wall_s=(40.0,), cpu_s=(72.0,), peak_bytes=(2**31,))
    rows = {line.name: line for line in cost.lines([ours_run, spark], gigabytes=1.0)}
    fargate = 0.01 * (2 * 0.04048 + 4 * 0.004445)
    assert rows["shopkpi, Fargate, 2 vCPU and 4 GB"].dollars_per_gb == pytest.approx(fargate)
    assert rows["Spark, Glue"].dollars_per_gb == pytest.approx(0.02 / 4 * 0.44)
    assert cost.lines([ours_run], gigabytes=2.0)[0].dollars_per_gb == pytest.approx(fargate / 2)


def test_ours_runs_without_pandas_whether_it_is_installed_or_not(tmp_path: Path) -> None:
    """A stand-in that says so where pyarrow imports it."""
    (tmp_path / "pandas.py").write_text("raise SystemExit('pandas was imported')")
    looking = "import sys; sys.path.insert(0, sys.argv.pop(1)); import pyarrow as pa; pa.scalar(1)"
    seen = subprocess.run(
        [sys.executable, "-c", looking, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert "pandas was imported" in seen.stderr
    blocked = f"import sys; from {NoPandas.__module__} import NoPandas; " + looking.replace(
        "import pyarrow", "sys.meta_path.insert(0, NoPandas()); import pyarrow"
    )
    subprocess.run([sys.executable, "-c", blocked, str(tmp_path)], cwd=ROOT, check=True)
    assert "benchmarks.without_pandas" in ours.command("run", workspace=tmp_path)


async def test_what_an_emulator_is_sent_is_not_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in client_environment("http://127.0.0.1:1").items():
        monkeypatch.setenv(name, value)
    bucket = await BucketClient.open("b", endpoint_url=None, max_pool=1, retry=RetryPolicy())
    assert getattr(bucket.client.meta.config, "s3", None) == {"payload_signing_enabled": False}
    await bucket.close()
