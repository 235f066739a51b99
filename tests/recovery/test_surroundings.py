"""Messages to a user when the surroundings of a run are wrong.

Elsewhere: a missing bucket (`tests/e2e/test_aws.py`), a full disk and two runs at once
(`tests/e2e/test_newcomer.py`), a workspace that cannot be made (`tests/e2e/test_wrong_use.py`).
"""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import queue
import re
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from email.utils import formatdate
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiobotocore.httpsession import AIOHTTPSession

from tests.recovery import shop
from tests.support.emulators import Emulator, create_bucket, unique_name
from tests.support.faults import answering
from worker.cli import main
from worker.errors import SourceChanged
from worker.objects.local import FolderStore
from worker.objects.s3 import S3Store

ROOT = Path(__file__).parents[2]


class Done(NamedTuple):
    """What a command returned and printed."""

    code: int
    out: str
    err: str

    def says(self, *words: str) -> None:
        """Check for exit code 1, and one sentence with these words."""
        assert self.code == 1, self
        assert len(self.err.splitlines()) == 1, self.err
        for word in words:
            assert word in self.err


def shopkpi(*arguments: str) -> Done:
    # JSON is written as bytes.
    out, err = io.TextIOWrapper(io.BytesIO()), io.TextIOWrapper(io.BytesIO())
    before = sys.argv
    sys.argv = ["shopkpi", *arguments]
    try:
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
            main()
    finally:
        sys.argv = before
    texts = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        texts.append(stream.read())
    return Done(int(end.value.code or 0), *texts)


# A source object that does not stay as it is while it is read.


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shop.write_files(tmp_path / "shop", shop.first_files(), second=0)
    return tmp_path


def change(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"19,1,delivered,2025-03-05T10:00:00\n")


@pytest.mark.parametrize("happens", [change, Path.unlink], ids=["changed", "deleted"])
def test_a_file_that_changes_is_not_accepted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, happens: Callable[[Path], object]
) -> None:
    path = folder / "shop" / "orders" / "1.csv"
    read = FolderStore.read

    async def read_late(store: FolderStore, info: Any, start: int, end: int) -> bytes:
        if info.key.endswith("orders/1.csv"):
            monkeypatch.setattr(FolderStore, "read", read)
            happens(path)
        return await read(store, info, start, end)

    monkeypatch.setattr(FolderStore, "read", read_late)
    word = "changed" if happens is change else "deleted"
    # Without a contract the header alone is read first.
    shopkpi("run", "shop/orders/1.csv", "--contract", "default").says(
        "orders/1.csv", f"it was {word} while it was being read"
    )
    assert shopkpi("ledger", "--format", "json").out.strip() == "[]"
    again = shopkpi("run", "shop/orders/1.csv")
    assert again.code == (0 if happens is change else 2)


async def test_a_file_changed_during_the_last_read_is_not_accepted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "shop" / "orders" / "1.csv"
    store = FolderStore()
    info = await store.stat(path.as_posix().lstrip("/"))
    pread = os.pread

    def pread_late(descriptor: int, size: int, offset: int) -> bytes:
        path.write_bytes(path.read_bytes().replace(b"delivered", b"returned!"))
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", pread_late)
    with pytest.raises(SourceChanged, match="changed while it was being read"):
        await store.read(info, 0, info.size_bytes)


@pytest.fixture
def stores(ministack: Emulator, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """A bucket with one upload, and the options of a run over it."""
    ministack.use(monkeypatch)

    async def make() -> str:
        bucket = await create_bucket(ministack)
        async with await S3Store.open(bucket) as store, store.create("orders/1.csv") as writer:
            await writer.write(shop.first_files()["orders/1.csv"])
        return bucket

    bucket = asyncio.run(make())
    state = f"dynamodb://{unique_name('state')}"
    assert shopkpi("tables", "create", "--state", state).code == 0
    return bucket, ["--workspace", f"s3://{bucket}/zone", "--state", state]


@pytest.mark.parametrize("happens", ["changed", "deleted"])
def test_an_s3_object_that_changes_is_not_accepted(
    stores: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch, happens: str
) -> None:
    bucket, options = stores
    through = AIOHTTPSession.send

    async def send(session: AIOHTTPSession, request: Any) -> Any:
        if request.method == "GET" and request.url.endswith("/orders/1.csv"):
            monkeypatch.setattr(AIOHTTPSession, "send", through)
            async with await S3Store.open(bucket) as other:
                if happens == "deleted":
                    await other.delete("orders/1.csv")
                else:
                    async with other.create("orders/1.csv") as writer:
                        await writer.write(b"order_id,user_id,status,created_at\n")
        return await through(session, request)

    monkeypatch.setattr(AIOHTTPSession, "send", send)
    shopkpi("run", f"s3://{bucket}/orders/1.csv", "--contract", "default", *options).says(
        f"s3://{bucket}/orders/1.csv", "it is no longer the version"
    )
    assert shopkpi("ledger", *options, "--format", "json").out.strip() == "[]"


# S3 that refuses.


@contextmanager
def refusing(headers: str) -> Iterator[str]:
    """An S3 on another thread that answers every request with 403."""
    urls: queue.SimpleQueue[str] = queue.SimpleQueue()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        head = f"403 Forbidden\r\n{headers}Content-Length: 0"
        async with answering(lambda _: (head, b"")) as url:
            urls.put(url)
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        yield urls.get(timeout=10)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


@pytest.mark.parametrize("late_s", [0, 86_400], ids=["permission", "clock"])
def test_a_refusal_of_s3_names_its_likely_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late_s: int
) -> None:
    with refusing(f"Date: {formatdate(time.time() + late_s, usegmt=True)}\r\n") as url:
        Emulator(name="refusing", endpoint_url=url).use(monkeypatch)
        done = shopkpi("run", "s3://bucket/orders", "--workspace", str(tmp_path))
    done.says("s3://bucket/orders", "not allowed")
    assert ("s3:GetObject" in done.err) == (late_s == 0)
    assert ("clock of this machine" in done.err) == (late_s != 0)


def test_only_log_lines_have_this_machines_time() -> None:
    """A wrong clock changes no result: the store says which upload is later."""
    clock = re.compile(r"datetime\.now|date\.today|time\.time\(|utcnow")
    found = {
        path.relative_to(ROOT).as_posix()
        for package in ("kpi", "worker")
        for path in (ROOT / package).rglob("*.py")
        if clock.search(path.read_text())
    }
    assert found == {
        "worker/reporting/reporters.py",
        "worker/reporting/emf.py",
        "worker/cli/error_output.py",  # the line of an error
        # When a contract was adopted or an upload ruled on, for people; sequences decide.
        *("worker/jobs.py", "worker/cli/pipeline.py", "worker/maintenance/rulings.py"),
        "worker/maintenance/repair/repair.py",
        # How long something waits, and which files are due.
        *("worker/cli/status.py", "worker/cli/waiting.py", "worker/cli/day_states.py"),
        "worker/state/day_guard.py",  # when a day was published, for people
        "worker/maintenance/erasure/request.py",  # what comes later of a customer is not deleted
        # Of objects that nobody names, those of the last day are left.
        *("worker/maintenance/collection.py", "worker/maintenance/upkeep.py"),
        # When a snapshot was made, and which ones are old enough to be forgotten.
        "worker/iceberg/publish.py",
        "worker/maintenance/rebuild.py",  # one that was killed a day ago is begun from nothing
        "worker/objects/local.py",  # the same bytes make an old file young, which leaves it to them
        "worker/objects/s3_client.py",  # to tell that the clock is wrong
        "worker/objects/memory.py",  # serves simulations, which give it a clock
    }


# A user who may not do everything.


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder of root's that everybody may read."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with tempfile.TemporaryDirectory(prefix="shopkpi-") as name:
        home = Path(name)
        home.chmod(0o755)
        shop.write_files(home / "shop", shop.first_files(), second=0)
        yield home


def as_nobody(home: Path, *arguments: str) -> Done:
    """The command, run by a user who owns nothing."""
    # What is imported here need not be readable for that user.
    assert shopkpi("run", str(home / "shop"), "--workspace", str(home / "warm")).code == 0
    shutil.rmtree(home / "warm")
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # see tests.recovery.operations
        child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.chdir(home)
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(pickle.dumps(shopkpi(*arguments)))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        report = pipe.read()
    os.waitpid(child, 0)
    done: Done = pickle.loads(report)
    return done


def test_an_unreadable_file_is_named(public: Path) -> None:
    public.chmod(0o777)
    (public / "shop/orders/1.csv").chmod(0o600)
    done = as_nobody(public, "run", "shop", "--workspace", "work")
    done.says("shop/orders/1.csv", "cannot read: Permission denied")


def test_an_unreadable_folder_is_named(public: Path) -> None:
    public.chmod(0o777)
    (public / "shop/orders").chmod(0o700)
    done = as_nobody(public, "run", "shop", "--workspace", "work")
    done.says("shop", "cannot read: Permission denied")


def test_an_unwritable_workspace_is_named(public: Path) -> None:
    done = as_nobody(public, "run", "shop", "--workspace", "work")
    done.says("work", "Permission denied")


def test_another_users_readable_workspace_is_not_changed(public: Path) -> None:
    work = public / "work"
    assert shopkpi("run", str(public / "shop"), "--workspace", str(work)).code == 0
    work.chmod(0o755)
    (work / "shopkpi.db").chmod(0o644)
    done = as_nobody(public, "run", "shop", "--workspace", "work")
    done.says("work/shopkpi.db", "Permission denied")
    done = as_nobody(public, "query", "orders", "--workspace", "work")
    assert done.code == 0
    assert "total_orders" in done.out
    assert [one.name for one in work.glob("*.db*")] == ["shopkpi.db"]


def test_another_users_closed_database_cannot_be_read(public: Path) -> None:
    work = public / "work"
    assert shopkpi("run", str(public / "shop"), "--workspace", str(work)).code == 0
    work.chmod(0o755)
    (work / "shopkpi.db").chmod(0o600)
    done = as_nobody(public, "query", "orders", "--workspace", "work")
    done.says("work/shopkpi.db", "unable to open database file")
