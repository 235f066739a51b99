"""Many files at once: one that cannot be read stops no other, and is named at the end."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest

import worker.validate.file_versions
import worker.validate.wait_until_unchanged
from tests.support.commands import Shopkpi
from worker.errors import SourceError
from worker.objects import ObjectInfo
from worker.objects.local import FolderStore
from worker.reporting.reporters import MAX_IGNORED_NAMED, JsonReporter
from worker.validate.discovery import IgnoredInput

ORDERS = "order_id,user_id,created_at\n{0},7,2025-03-01\n"


def put(home: Path, *names: str) -> list[Path]:
    paths = [home / "shop" / "orders" / name for name in names]
    for number, path in enumerate(paths, 1):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ORDERS.format(number))
    return paths


def events(out: str, name: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in out.splitlines()]
    return [line for line in lines if line["event"] == name]


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that cannot read files of some name."""
    read = FolderStore.read

    async def read_or_fail(self: FolderStore, info: ObjectInfo, start: int, end: int) -> bytes:
        if info.key.endswith("bad.csv"):
            raise SourceError("cannot read: Input/output error", url=info.url)
        return await read(self, info, start, end)

    monkeypatch.setattr(FolderStore, "read", read_or_fail)


@pytest.mark.usefixtures("unreadable")
def test_a_file_that_cannot_be_read_stops_no_other(tmp_path: Path, shopkpi: Shopkpi) -> None:
    put(tmp_path, "1.csv", "bad.csv", "3.csv")
    done = shopkpi("run", "shop", "--format", "json")
    assert done.code == 1
    assert len(events(done.out, "source.committed")) == 2
    assert events(done.out, "kpis.published")[0]["days"] == 1
    (left,) = events(done.out, "source.left")
    assert left["url"].endswith("orders/bad.csv")
    assert "1 of 3 files could not be read" in done.err
    assert "bad.csv: cannot read" in done.err
    assert shopkpi("query", "orders", "--format", "json").json[0]["total_orders"] == 2


@pytest.mark.usefixtures("unreadable")
def test_the_only_file_that_cannot_be_read_is_the_error(tmp_path: Path, shopkpi: Shopkpi) -> None:
    (path,) = put(tmp_path, "bad.csv")
    done = shopkpi("validate", str(path))
    assert done.code == 1
    assert "bad.csv: cannot read: Input/output error" in done.err
    assert "1 of" not in done.err


@pytest.mark.slow
def test_a_file_that_grows_without_end_is_left(tmp_path: Path, shopkpi: Shopkpi) -> None:
    growing, _ = put(tmp_path, "growing.csv", "2.csv")
    ended = threading.Event()

    def grow() -> None:
        while not ended.wait(0.005):
            with growing.open("a") as file:
                file.write("9,7,2025-03-01\n")

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        done = shopkpi("run", "shop", "--settle", "0.2", "--format", "json")
    finally:
        ended.set()
        writer.join()
    assert done.code == 1
    assert len(events(done.out, "source.committed")) == 1
    assert "growing.csv: it keeps changing" in done.err
    done = shopkpi("run", "shop", "--settle", "0.1", "--format", "json")
    assert done.code == 0
    assert len(events(done.out, "source.committed")) == 1


def test_a_known_file_is_not_waited_for(
    tmp_path: Path, shopkpi: Shopkpi, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "1.csv")
    monkeypatch.setattr(worker.validate.file_versions, "TICK_NS", 0)
    assert shopkpi("run", "shop", "--format", "json").code == 0

    def fail(*_: object) -> None:
        raise AssertionError("waited")

    monkeypatch.setattr(worker.validate.wait_until_unchanged, "_missing_s", fail)
    assert shopkpi("run", "shop", "--settle", "60", "--format", "json").code == 0


@pytest.mark.slow
def test_a_copy_in_progress_is_read_once_it_is_whole(tmp_path: Path, shopkpi: Shopkpi) -> None:
    """Cut in the middle of a number it would be another order, for ever."""
    (path,) = put(tmp_path, "1.csv")
    path.write_text("order_id,user_id,created_at\n1001,7,2025-03-01\n10")

    def finish() -> None:
        with path.open("a") as file:
            file.write("02,8,2025-03-01\n")

    timer = threading.Timer(0.3, finish)
    timer.start()
    done = shopkpi("run", "shop", "--settle", "1", "--format", "json")
    timer.join()
    assert done.code == 0, done.err
    (entry,) = events(done.out, "source.committed")
    assert (entry["rows_clean"], entry["rows_rejected"]) == (2, 0)
    assert "no_final_line_end" not in entry["notes"]


@pytest.mark.parametrize("size_bytes", [-3, -1])
def test_a_finished_copy_replaces_its_first_part(
    size_bytes: int, tmp_path: Path, shopkpi: Shopkpi
) -> None:
    """Its cut row may be an order of its own, which no later row takes the place of."""
    header, whole = b"created_at,user_id,order_id\n", b"2025-03-01,7,1001\n2025-03-01,8,1002\n"
    (path,) = put(tmp_path, "1.csv")
    path.write_bytes(header + whole[:size_bytes])
    assert shopkpi("run", "shop", "--settle", "0", "--format", "json").code == 0
    path.write_bytes(header + whole)
    done = shopkpi("run", "shop", "--settle", "0", "--format", "json")
    assert len(events(done.out, "source.replaces")) == 1
    found = shopkpi("query", "orders", "--format", "csv").out.splitlines()
    assert found[1].split(",")[1] == "2"


def test_other_bytes_are_no_finished_copy(tmp_path: Path, shopkpi: Shopkpi) -> None:
    (path,) = put(tmp_path, "1.csv")
    header = b"created_at,user_id,order_id\n"
    path.write_bytes(header + b"2025-03-01,7,1001")
    assert shopkpi("run", "shop", "--settle", "0", "--format", "json").code == 0
    path.write_bytes(header + b"2025-03-01,7,1002\n2025-03-01,8,1003\n")
    done = shopkpi("run", "shop", "--settle", "0", "--format", "json")
    assert events(done.out, "source.replaces") == []
    found = shopkpi("query", "orders", "--format", "csv").out.splitlines()
    assert found[1].split(",")[1] == "3"


def test_a_missing_final_line_end_is_noted_and_no_fault(tmp_path: Path, shopkpi: Shopkpi) -> None:
    (path,) = put(tmp_path, "1.csv")
    path.write_text("order_id,user_id,created_at\n1,7,2025-03-01T10:00:00")
    done = shopkpi("run", "shop", "--format", "json")
    (entry,) = events(done.out, "source.committed")
    assert (done.code, entry["rows_clean"]) == (0, 1)
    assert entry["notes"] == {"no_final_line_end": 1}
    assert events(done.out, "input.noted")[0]["notes"] == {"no_final_line_end": 1}


def test_files_of_no_dataset_are_named_in_either_format(tmp_path: Path, shopkpi: Shopkpi) -> None:
    put(tmp_path, "1.csv", "../order-items/1.csv")
    done = shopkpi("run", "shop", "--format", "json")
    (ignored,) = events(done.out, "input.ignored")
    assert ignored["url"].endswith("order-items/1.csv")
    assert ignored["nearest_folder"] == "order_items/"
    assert done.code == 0
    shown = " ".join(shopkpi("run", "shop", "--format", "table").out.split())
    assert "not read" in shown
    assert "did you mean order_items/?" in shown


def test_millions_of_ignored_files_are_counted() -> None:
    out = io.StringIO()
    inputs = [IgnoredInput(url=f"s3://b/{number}", reason="x") for number in range(1005)]
    JsonReporter(out).ignored(inputs)
    lines = events(out.getvalue(), "input.ignored")
    assert len(lines) == MAX_IGNORED_NAMED + 1
    assert lines[-1]["files"] == 5
