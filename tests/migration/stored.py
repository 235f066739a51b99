"""What an earlier release has left behind, put where the present code can open it."""

from __future__ import annotations

import base64
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3

from tests.support.emulators import Emulator

BATCH_WRITE_ITEMS = 25
"""Items of one BatchWriteItem request ("Quotas in Amazon DynamoDB")."""


@dataclass(frozen=True)
class Stored:
    """One history of a release; `folder` is laid out as the release's README.md says."""

    folder: Path

    @property
    def expected(self) -> dict[str, Any]:
        """What the release printed of it."""
        return self._json("expected.json")

    @property
    def history(self) -> dict[str, Any]:
        """Uploads and commands."""
        return self._json("history.json")

    def unpack_workspace(self, target: Path) -> Path:
        """Unpack the folder with clean zone, rejects and SQLite database; returns it."""
        return _unpack(self.folder / "workspace.tar.gz", target)

    def upload(self, step: int, shop: Path) -> None:
        """Write the files of a step, counted from 0, with their upload times."""
        for file in self.history["steps"][step]["files"]:
            name = file["name"]
            target = shop / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((self.folder / "input" / str(step + 1) / name).read_bytes())
            uploaded_at = datetime.fromisoformat(file["uploaded_at"]).timestamp()
            os.utime(target, (uploaded_at, uploaded_at))

    def load_tables(self, emulator: Emulator, prefix: str) -> None:
        """Create the release's DynamoDB tables, of names with that prefix, and fill them."""
        client = _client("dynamodb", emulator)
        for path in sorted((self.folder / "dynamodb").glob("*.json")):
            dump = json.loads(path.read_text("utf-8"), object_hook=_binary)
            table = f"{prefix}-{path.stem}"
            schema = {name: value for name, value in dump["schema"].items() if value}
            client.create_table(TableName=table, BillingMode="PAY_PER_REQUEST", **schema)
            client.get_waiter("table_exists").wait(TableName=table)
            for batch in _batches(dump["items"]):
                puts = [{"PutRequest": {"Item": item}} for item in batch]
                done = client.batch_write_item(RequestItems={table: puts})
                assert not done["UnprocessedItems"]

    def progress_record(self, emulator: Emulator, prefix: str) -> dict[str, Any]:
        """Read the release's own progress record, as it is now."""
        key = {"kind": {"S": "progress"}, "id": {"S": "progress"}}
        found = _client("dynamodb", emulator).get_item(TableName=f"{prefix}-ledger", Key=key)
        fields: dict[str, Any] = json.loads(found["Item"]["progress"]["S"])
        return fields

    def load_objects(self, emulator: Emulator, bucket: str, scratch: Path) -> None:
        """Create a bucket with the objects that belong to the tables."""
        client = _client("s3", emulator)
        client.create_bucket(Bucket=bucket)
        for key, data in self.unpack_objects(scratch).items():
            client.put_object(Bucket=bucket, Key=key, Body=data)

    def unpack_objects(self, scratch: Path) -> dict[str, bytes]:
        """Return the objects that belong to the tables, by key below the workspace."""
        _unpack(self.folder / "objects.tar.gz", scratch)
        return {
            path.relative_to(scratch).as_posix(): path.read_bytes()
            for path in sorted(scratch.rglob("*.*"))
        }

    def _json(self, name: str) -> dict[str, Any]:
        value: dict[str, Any] = json.loads((self.folder / name).read_text("utf-8"))
        return value


def _unpack(archive: Path, target: Path) -> Path:
    with tarfile.open(archive) as opened:
        # Python before 3.11.4 has no filters.
        opened.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        opened.extractall(target)  # noqa: S202 - the fixtures are ours
    return target


def _client(service: str, emulator: Emulator) -> Any:
    return boto3.client(
        service,
        endpoint_url=emulator.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def _binary(value: dict[str, Any]) -> dict[str, Any]:
    """Decode a binary attribute value; JSON holds it as base64."""
    return {"B": base64.b64decode(value["B"])} if list(value) == ["B"] else value


def _batches(items: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(items), BATCH_WRITE_ITEMS):
        yield items[start : start + BATCH_WRITE_ITEMS]
