"""Find and name files of a table that are missing or damaged.

All metadata are read by each `maintain --iceberg`; of data files their presence and length are
compared with the manifests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyiceberg.exceptions import NoSuchTableError

from worker.clean import Workspace
from worker.errors import SourceError, SourceMissing, WorkerError
from worker.iceberg.catalogs import is_of_catalog
from worker.iceberg.file_io import OpenedFile, bridge_of, key_of

SYNC_BYTES = 16
"""Length of a sync marker, which ends the header and each block of an Avro file."""

MISSING, DAMAGED = "is missing", "is damaged"


class DamagedFileError(SourceError):
    """Report that a file of a table cannot be read."""

    url: str

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(problem, url=url)


@dataclass(frozen=True, kw_only=True)
class HealedFile:
    """A damaged file, and what was done.

    Attributes:
        table: Name of the table.
        url: The file.
        problem: What was wrong with it.
        remedy: What was done.
    """

    table: str
    url: str
    problem: str
    remedy: str


@contextmanager
def naming_damage(file_io: Mapping[str, str]) -> Iterator[None]:
    """Name the file that pyiceberg was reading when it failed.

    Args:
        file_io: Properties of `worker.iceberg.file_io.bridged`.

    Raises:
        DamagedFileError: It is missing or damaged.
    """
    bridge = bridge_of(file_io)
    bridge.opened = OpenedFile()
    try:
        yield
    except (NoSuchTableError, WorkerError):
        raise
    except FileNotFoundError as error:
        raise DamagedFileError(str(error.filename), MISSING) from error
    except Exception as error:
        # Parsers of JSON and Avro raise whatever the bytes lead them to.
        if is_of_catalog(error) or not bridge.opened.url:
            raise
        raise DamagedFileError(bridge.opened.url, DAMAGED) from error


def read_snapshot(table: Any, snapshot: Any, known: dict[str, list[Any]]) -> list[Any]:  # noqa: ANN401
    """Return the data files of a snapshot.

    Args:
        table: pyiceberg's table.
        snapshot: One of its snapshots.
        known: Path of a manifest -> its data files, of the manifests that were read before; those
            read now are added.

    Raises:
        DamagedFileError: The manifest list or a manifest is missing or damaged.
    """
    files: list[Any] = []
    bridge = bridge_of(table.io.properties)
    with naming_damage(table.io.properties):
        manifests = snapshot.manifests(table.io)
        if manifests:
            check_avro_end(bridge.opened)
        for manifest in manifests:
            path = manifest.manifest_path
            if path not in known:
                entries = manifest.fetch_manifest_entry(table.io, discard_deleted=True)
                known[path] = [entry.data_file for entry in entries]
                check_length(path, len(bridge.opened.data), manifest.manifest_length)
            files += known[path]
    expected = snapshot.summary and snapshot.summary.additional_properties.get("total-data-files")
    if expected is not None and int(expected) != len(files):
        raise DamagedFileError(
            snapshot.manifest_list, f"names {len(files)} data files instead of {expected}"
        )
    return files


def check_avro_end(opened: OpenedFile) -> None:
    """Check that a file ends with the sync marker of its header: pyiceberg reads on without it.

    Raises:
        DamagedFileError: It does not.
    """
    marker = opened.data[-SYNC_BYTES:]
    if opened.data.index(marker) == len(opened.data) - len(marker):
        raise DamagedFileError(opened.url, "ends too early")


def check_length(url: str, size_bytes: int, expected: int) -> None:
    """Check that a file has the length that a manifest says.

    Raises:
        DamagedFileError: It has another one.
    """
    if size_bytes != expected:
        raise DamagedFileError(url, f"has {size_bytes} bytes instead of {expected}")


async def check_data_files(
    workspace: Workspace, files: Iterable[Any], listed: Mapping[str, int]
) -> None:
    """Check that data files are there, at their lengths.

    Args:
        workspace: Where they are.
        files: The data files.
        listed: Key -> bytes, of the objects of a listing.

    Raises:
        DamagedFileError: One is missing, or has another length.
        StoreError: The store fails after retries.
    """
    for one in files:
        key = key_of(one.file_path)
        if listed.get(key) == one.file_size_in_bytes:
            continue
        try:  # it may have been written after the listing
            found = await workspace.store.stat(key)
        except SourceMissing as error:
            raise DamagedFileError(one.file_path, MISSING) from error
        check_length(one.file_path, found.size_bytes, one.file_size_in_bytes)
