"""Temporary files: kept while their writer lives, removed when it died."""

from __future__ import annotations

import asyncio
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from worker.objects.local import FolderStore

ROOT = Path(__file__).parents[4]

WRITER = """
import asyncio, sys
from worker.objects.local import FolderStore

async def write(key):
    async with FolderStore().create(key) as writer:
        await writer.write(b"half of it, ")
        print("writing", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await writer.write(b"and the rest")

asyncio.run(write(sys.argv[1]))
"""


def start(path: Path) -> subprocess.Popen[str]:
    """Start a process that writes half of `path` and waits for a line of input."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


async def write(path: Path, store: FolderStore | None = None) -> None:
    async with (store or FolderStore()).create(str(path)) as writer:
        await writer.write(b"another")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_the_temporary_file_of_a_killed_writer_is_removed(tmp_path: Path) -> None:
    with start(tmp_path / "killed") as killed:
        killed.kill()
    assert len(names(tmp_path)) == 1
    await write(tmp_path / "another")
    assert names(tmp_path) == ["another"]


async def test_the_temporary_file_of_a_living_writer_stays(tmp_path: Path) -> None:
    with start(tmp_path / "slow") as slow:
        await write(tmp_path / "another")
        slow.communicate("\n")
    assert slow.returncode == 0
    assert names(tmp_path) == ["another", "slow"]
    assert (tmp_path / "slow").read_bytes() == b"half of it, and the rest"


async def test_two_writers_of_one_process_leave_each_other_alone(tmp_path: Path) -> None:
    async with FolderStore().create(str(tmp_path / "one")) as writer:
        await write(tmp_path / "two")
        await writer.write(b"whole")
    assert (tmp_path / "one").read_bytes() == b"whole"


async def test_other_hidden_files_stay(tmp_path: Path) -> None:
    others = [".notes.tmp", ".a.parquet.12.xyz.tmp", "a.parquet.12.0123abcd.tmp", ".keep"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".a.12.0123abcd.tmp").mkdir()
    await write(tmp_path / "z")
    assert names(tmp_path) == sorted([*others, ".a.12.0123abcd.tmp", "z"])


@pytest.mark.parametrize("removed", [False, True])
async def test_a_file_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    lock = fcntl.flock
    taken: list[Path] = []

    def flock(descriptor: int, how: int) -> None:
        """Once, another process has been quicker, and is about to remove the file or just has."""
        if not taken:
            taken.extend(tmp_path.iterdir())
            if not removed:
                asyncio.get_running_loop().call_soon(taken[0].unlink, True)
                raise BlockingIOError
            taken[0].unlink()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    store = FolderStore()
    await write(tmp_path / "a", store)
    assert len(taken) == 1
    assert (tmp_path / "a").read_bytes() == b"another"
    assert names(tmp_path) == ["a"]


async def test_a_file_system_without_locks_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    left = tmp_path / ".a.12.0123abcd.tmp"
    left.touch()
    await write(tmp_path / "a")
    assert names(tmp_path) == [left.name, "a"]


async def test_names_are_on_the_disk_when_a_call_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("worker.objects.local.sync_folder", synced.append)
    store, path = FolderStore(), tmp_path / "a" / "1"
    for _ in range(2):  # the second may follow one that was killed before it synced
        async with store.create(str(path).lstrip("/")) as writer:
            await writer.write(b"x")
        assert synced == [path.parent]
        synced.clear()
    await store.delete(str(path).lstrip("/"))
    assert synced == [path.parent]
    synced.clear()
    await store.sweep(str(tmp_path).lstrip("/"))
    assert synced == [tmp_path, path.parent]
