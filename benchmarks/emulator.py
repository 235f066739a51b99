"""MiniStack, an emulator of AWS, as a process on 127.0.0.1; uploads, and transactions sent anew."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiobotocore.session import get_session

from benchmarks.measure import ROOT, child_environment
from benchmarks.tap import Request

START_LIMIT_S = 30.0
PART_BYTES = 64 * 2**20


class Missing(Exception):
    """This machine lacks something that a case needs; the message says what."""


def client_environment(endpoint_url: str) -> dict[str, str]:
    """Variables that make AWS clients use an emulator."""
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(Path(__file__).with_name("aws.ini")),
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


@contextmanager
def running_ministack(log: Path) -> Iterator[str]:
    """Run MiniStack while the block lasts; yield its endpoint URL.

    Raises:
        Missing: It is not installed.
        RuntimeError: It does not start.
    """
    default = ROOT / ".venv-ministack" / "bin" / "ministack"
    program = Path(os.environ.get("SHOPKPI_MINISTACK", default))
    if not program.is_file():
        raise Missing(f"MiniStack at {program} (SHOPKPI_MINISTACK may name another place)")
    port = _free_port()
    log.parent.mkdir(parents=True, exist_ok=True)
    settings = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_ACCOUNT_ID": "123456789012",
        "LOG_LEVEL": "ERROR",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program],
            env=child_environment() | settings,
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_ready(process, f"http://127.0.0.1:{port}/_ministack/health", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def upload(endpoint_url: str, bucket: str, files: Sequence[tuple[Path, str]]) -> None:
    """Create a bucket and put files into it, under their keys."""
    asyncio.run(_upload(endpoint_url, bucket, files))


def _client(endpoint_url: str) -> Any:  # noqa: ANN401  (a context manager of a client)
    return get_session().create_client(
        "s3",
        endpoint_url=endpoint_url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",  # noqa: S106  (an emulator checks none)
    )


async def _upload(endpoint_url: str, bucket: str, files: Sequence[tuple[Path, str]]) -> None:
    async with _client(endpoint_url) as s3:
        await s3.create_bucket(Bucket=bucket)
        for path, key in files:
            started = await s3.create_multipart_upload(Bucket=bucket, Key=key)
            target: dict[str, Any] = {"Bucket": bucket, "Key": key, "UploadId": started["UploadId"]}
            parts: list[Any] = []
            with path.open("rb") as file:
                while data := file.read(PART_BYTES):
                    number = len(parts) + 1
                    sent = await s3.upload_part(**target, PartNumber=number, Body=data)
                    parts.append({"PartNumber": number, "ETag": sent["ETag"]})
            await s3.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})


def put_objects(endpoint_url: str, bucket: str, files: Sequence[tuple[Path, str]]) -> None:
    """Put small files into a bucket, each in one request."""
    asyncio.run(_put_objects(endpoint_url, bucket, files))


async def _put_objects(endpoint_url: str, bucket: str, files: Sequence[tuple[Path, str]]) -> None:
    async with _client(endpoint_url) as s3:
        for path, key in files:
            await s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())


def replay(endpoint_url: str, requests: Sequence[Request], *, connections: int) -> float:
    """Send recorded requests anew, as fast as they are answered.

    Args:
        endpoint_url: Where to.
        requests: What to send; each must succeed.
        connections: Kept open, each with one request at a time.

    Returns:
        Requests a second.

    Raises:
        RuntimeError: An answer is not 200.
    """
    return asyncio.run(_replay(endpoint_url, list(requests), connections))


async def _replay(endpoint_url: str, requests: list[Request], connections: int) -> float:
    host, port = endpoint_url.removeprefix("http://").split(":")
    waiting = iter(requests)

    async def work() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for request in waiting:
            writer.write(request.head + request.body)
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.split(b"\r\n", 1)[0]:
                raise RuntimeError(f"replay: expected 200, got {head!r}")
            length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
            await reader.readexactly(int(length))
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(connections)))
    return len(requests) / (time.perf_counter() - started)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310  (http on 127.0.0.1)
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError(f"MiniStack did not start: {log.read_text(errors='replace')[-1000:]}")
