"""Write the migration fixtures beside this file with the code of release 0.1.0.

    git worktree add CHECKOUT 348483c
    make -C CHECKOUT .venv/runtime
    python -m tests.migration.v0_1_0.make CHECKOUT [HISTORY...]

The commands of the histories are those of CHECKOUT; the emulator is the one of the tests.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from tests.migration.v0_1_0.histories import SHOP, Command, History, Step, histories
from tests.support.emulators import Emulator, running_ministack

RELEASE = "348483c"
HERE = Path(__file__).parent

HOME = Path("/tmp/shopkpi-0.1.0")
"""Where the histories happen: ledger entries hold URLs below it, and ids made of these."""

INPUT_BUCKET = "shopkpi-0-1-0-input"
CLEAN_BUCKET = "shopkpi-0-1-0-clean"
QUERIES = ("orders", "category", "product")
TABLES = ("ledger", "order_kpis", "category_kpis", "product_kpis")


@dataclass(frozen=True, kw_only=True)
class Shopkpi:
    """The command line of release 0.1.0 over the stores of one history.

    Attributes:
        checkout: Working tree of the release, with its virtual environment.
        home: Working folder.
        shop: Folder or URL of the uploads.
        environment: Names the stores.
    """

    checkout: Path
    home: Path
    shop: str
    environment: Mapping[str, str]

    def run(self, command: Command) -> str:
        """Run a command, which ends with its code; returns what it prints."""
        done = self.start(command)
        if done.returncode != command.code:
            raise SystemExit(
                f"{command}: expected exit code {command.code}, got {done.returncode}\n"
                f"{done.stdout}{done.stderr}"
            )
        return done.stdout

    def start(self, command: Command) -> subprocess.CompletedProcess[str]:
        """Run a command, whatever code it ends with."""
        arguments = [one.replace(SHOP, self.shop) for one in command.arguments]
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SHOPKPI_", "AWS_", "PYTHONPATH"))
        }
        return subprocess.run(
            [self.checkout / ".venv" / "bin" / "shopkpi", *arguments],
            cwd=self.home,
            env={**inherited, **self.environment, "SHOPKPI_CONTRACT": command.contract},
            capture_output=True,
            text=True,
            check=False,
        )

    def json(self, contract: str, *arguments: str) -> Any:
        arguments = (*arguments, "--format", "json")
        return json.loads(self.run(Command(arguments=arguments, contract=contract)))

    def validate_ranges(self, contract: str, name: str, split_bytes: int) -> None:
        """Validate a file in byte ranges, as several tasks would."""
        file = f"{SHOP}/{name}"
        planned = self.run(
            Command(arguments=("plan", file, "--split-bytes", str(split_bytes)), contract=contract)
        )
        for one in json.loads(planned):
            ranged = ("validate", file, "--range", one["range"])
            self.run(Command(arguments=ranged, contract=contract))


def do_step(shopkpi: Shopkpi, contract: str, step: Step) -> None:
    """Run a step's commands; its files are uploaded."""
    for name, split_bytes in step.split_bytes.items():
        shopkpi.validate_ranges(contract, name, split_bytes)
    for command in step.commands:
        shopkpi.run(command)


def live_locally(history: History, shopkpi: Shopkpi) -> None:
    """Go through a history in folders."""
    for number, step in enumerate(history.steps):
        for place, (name, data) in enumerate(step.files.items()):
            path = shopkpi.home / shopkpi.shop / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            uploaded_at = history.uploaded_at(number, place).timestamp()
            os.utime(path, (uploaded_at, uploaded_at))
        do_step(shopkpi, history.contract, step)


def live_in_s3(history: History, shopkpi: Shopkpi, s3: Any) -> None:
    """Go through a history in buckets; its upload times are those of now."""
    prefix = shopkpi.shop.removeprefix(f"s3://{INPUT_BUCKET}/")
    for step in history.steps:
        time.sleep(1.1)  # S3 gives upload times in whole seconds
        for name, data in step.files.items():
            s3.put_object(Bucket=INPUT_BUCKET, Key=f"{prefix}/{name}", Body=data)
        do_step(shopkpi, history.contract, step)


def query_all(shopkpi: Shopkpi, contract: str) -> dict[str, Any]:
    return {name: shopkpi.json(contract, "query", name) for name in QUERIES}


def observe(history: History, shopkpi: Shopkpi) -> dict[str, Any]:
    """What release 0.1.0 says of the workspace that a history has made."""
    contract = history.contract
    ledger = shopkpi.json(contract, "ledger")
    for receipt in ledger:
        del receipt["seconds"]  # differs each time
    rejecting = [one for one in ledger if one["rows_rejected"]]
    audit = Command(arguments=("audit", "--kpis", history.tables), contract=contract)
    return {
        "queries": query_all(shopkpi, contract),
        "audit_exit_code": shopkpi.start(audit).returncode,
        "ledger": ledger,
        "rejects": {
            str(one["sequence"]): shopkpi.json(contract, "rejects", one["source_id"])
            for one in rejecting
        },
    }


def recompute(history: History, shopkpi: Shopkpi) -> dict[str, Any] | None:
    """KPI rows after a transform of every day; None where 0.1.0 cannot do one."""
    everything = ("transform", "--all", "--kpis", history.tables)
    last = history.steps[-1].commands[-1]
    shopkpi.run(Command(arguments=everything, contract=history.contract, code=last.code))
    return query_all(shopkpi, history.contract) if last.code == 0 else None


def make_local(name: str, history: History, checkout: Path) -> dict[str, Any]:
    """Write a history's workspace; returns what 0.1.0 says of it."""
    home = HOME / name
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    shopkpi = Shopkpi(checkout=checkout, home=home, shop="shop", environment={})
    live_locally(history, shopkpi)
    workspace = home / ".shopkpi"
    _require_closed(workspace / "shopkpi.db")
    expected = observe(history, shopkpi)
    _require_closed(workspace / "shopkpi.db")
    files = {
        path.relative_to(workspace).as_posix(): path.read_bytes()
        for path in workspace.rglob("*")
        if path.is_file()
    }
    write_archive(HERE / name / "workspace.tar.gz", files)
    return {**expected, "recomputed": recompute(history, shopkpi)}


def _require_closed(database: Path) -> None:
    """Without a write-ahead log, and whole."""
    if list(database.parent.glob(f"{database.name}-*")):
        raise SystemExit(f"{database}: expected no -wal and no -shm beside it")
    db = sqlite3.connect(f"{database.as_uri()}?immutable=1", uri=True)
    (verdict,) = db.execute("PRAGMA integrity_check").fetchone()
    db.close()
    if verdict != "ok":
        raise SystemExit(f"{database}: {verdict}")


def make_in_aws(
    name: str, history: History, checkout: Path, emulator: Emulator
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Write a history's tables and objects; returns what 0.1.0 says before and after recomputing.

    Objects of the clean zone stay as they are when days are recomputed.
    """
    home = HOME / f"{name}-aws"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    environment = {
        **emulator.environment,
        "SHOPKPI_WORKSPACE": f"s3://{CLEAN_BUCKET}/{name}",
        "SHOPKPI_STATE": f"dynamodb://{name}",
    }
    shopkpi = Shopkpi(
        checkout=checkout, home=home, shop=f"s3://{INPUT_BUCKET}/{name}", environment=environment
    )
    tables = ("tables", "create", "--state", environment["SHOPKPI_STATE"])
    shopkpi.run(Command(arguments=tables, contract=history.contract))
    s3, dynamodb = (_client(service, emulator) for service in ("s3", "dynamodb"))
    live_in_s3(history, shopkpi, s3)
    expected = observe(history, shopkpi)
    (HERE / name / "dynamodb").mkdir(exist_ok=True)
    for table in TABLES:
        dump = dump_table(dynamodb, f"{name}-{table}")
        (HERE / name / "dynamodb" / f"{table}.json").write_text(dump, "utf-8")
    write_archive(HERE / name / "objects.tar.gz", read_objects(s3, CLEAN_BUCKET, f"{name}/"))
    return expected, recompute(history, shopkpi)


def _client(service: str, emulator: Emulator) -> Any:
    return boto3.client(
        service,
        endpoint_url=emulator.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def dump_table(dynamodb: Any, full_name: str) -> str:
    """Schema and items of a table as JSON, an item on each line; `B` values are base64."""
    described = dynamodb.describe_table(TableName=full_name)["Table"]
    schema = {name: described[name] for name in ("KeySchema", "AttributeDefinitions")}
    schema["GlobalSecondaryIndexes"] = [
        {name: index[name] for name in ("IndexName", "KeySchema", "Projection")}
        for index in described.get("GlobalSecondaryIndexes", ())
    ]
    schema["AttributeDefinitions"].sort(key=lambda one: one["AttributeName"])
    keys = [one["AttributeName"] for one in schema["KeySchema"]]
    pages = dynamodb.get_paginator("scan").paginate(TableName=full_name, ConsistentRead=True)
    items = [item for page in pages for item in page["Items"]]
    items.sort(key=lambda item: [item[key]["S"] for key in keys])
    lines = ",\n".join(_dumps(item) for item in items)
    return f'{{"schema": {_dumps(schema)},\n"items": [\n{lines}\n]}}\n'


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=_base64)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def read_objects(s3: Any, bucket: str, prefix: str) -> dict[str, bytes]:
    """Key below the prefix -> bytes."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
    return {
        key.removeprefix(prefix): s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        for key in keys
    }


def write_archive(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a .tar.gz that depends on the files' names and bytes alone."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    path.write_bytes(gzip.compress(buffer.getvalue(), mtime=0))


def write_inputs(name: str, history: History) -> None:
    """Write a history's uploads, and in `history.json` what was done with them."""
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    steps = []
    for number, step in enumerate(history.steps):
        files = []
        for place, (file, data) in enumerate(step.files.items()):
            path = folder / "input" / str(number + 1) / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            uploaded_at = history.uploaded_at(number, place).isoformat()
            files.append({"name": file, "uploaded_at": uploaded_at})
        commands = [command.to_json() for command in step.commands]
        split = dict(step.split_bytes)
        steps.append({"files": files, "split_bytes": split, "commands": commands})
    write_json(
        folder / "history.json",
        {"contract": history.contract, "tables": history.tables, "steps": steps},
    )


def write_json(path: Path, value: Any) -> None:
    """Indented, but with each object of the innermost lists on one line."""
    path.write_text(_indented(value, "") + "\n", "utf-8")


def _indented(value: Any, margin: str) -> str:
    flat = json.dumps(value, ensure_ascii=False)
    nested = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if not any(isinstance(one, dict | list) for one in nested) or len(flat) <= 100 - len(margin):
        return flat
    inner = f"{margin} "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {_indented(one, inner)}" for key, one in value.items()]
        return "{\n" + ",\n".join(inner + part for part in parts) + f"\n{margin}}}"
    parts = [_indented(one, inner) for one in value]
    return "[\n" + ",\n".join(inner + part for part in parts) + f"\n{margin}]"


@contextmanager
def emulator_with_buckets() -> Iterator[Emulator]:
    """Run MiniStack; uploads are versioned, as in a deployment."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_ministack(Path(folder) / "ministack.log") as emulator,
    ):
        s3 = _client("s3", emulator)
        for bucket in (INPUT_BUCKET, CLEAN_BUCKET):
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=INPUT_BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield emulator


def require_release(checkout: Path) -> None:
    found = subprocess.run(
        ["git", "-C", str(checkout), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if not found.startswith(RELEASE):
        raise SystemExit(f"{checkout}: expected a checkout of {RELEASE}, got {found[:7]}")


def main() -> None:
    """Make all histories, or those named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", type=Path)
    parser.add_argument("history", nargs="*", choices=[[], *histories()])
    asked = parser.parse_args()
    checkout = asked.checkout.resolve()
    require_release(checkout)
    with emulator_with_buckets() as emulator:
        for name, history in histories().items():
            if asked.history and name not in asked.history:
                continue
            write_inputs(name, history)
            expected = make_local(name, history, checkout)
            in_aws, recomputed = make_in_aws(name, history, checkout, emulator)
            for what in ("queries", "audit_exit_code", "rejects"):
                if in_aws[what] != expected[what]:
                    raise SystemExit(f"{name}: {what} of DynamoDB differ from those of SQLite")
            if recomputed != expected["recomputed"]:
                raise SystemExit(f"{name}: DynamoDB recomputes other rows than SQLite")
            write_json(HERE / name / "expected.json", expected)
            sys.stdout.write(f"made {name}\n")
    shutil.rmtree(HOME)


if __name__ == "__main__":
    main()
