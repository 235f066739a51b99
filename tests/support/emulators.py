"""Emulators of AWS on 127.0.0.1: the moto server in a thread, MiniStack as a process.

Moto copies a table whole for each transaction and fails when several are in flight: it gets small
tables, one transaction at a time. MiniStack gets what is large or concurrent. Both live as long as
the test session (of one xdist worker); tests take buckets and table prefixes of their own from
`unique_name`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiobotocore.session import get_session
from moto.server import ThreadedMotoServer

ROOT = Path(__file__).resolve().parents[2]

START_LIMIT_S = 30.0

EMULATORS = frozenset({"moto", "ministack"})
"""Fixtures that start an emulator; tests that use one carry the marker `emulated`."""


@dataclass(frozen=True, kw_only=True)
class Emulator:
    """A running emulator of AWS."""

    name: str
    endpoint_url: str

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that make AWS clients, and processes that use them, use it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make the clients of this test use it."""
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)


def unique_name(prefix: str) -> str:
    """A name that no other test has: for a bucket or a table prefix."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


async def create_bucket(emulator: Emulator, *, versioned: bool = False) -> str:
    """A new bucket; returns its name. `emulator.use` comes first."""
    bucket = unique_name("bucket")
    async with get_session().create_client("s3", endpoint_url=emulator.endpoint_url) as client:
        await client.create_bucket(Bucket=bucket)
        if versioned:
            await client.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
            )
    return bucket


@contextmanager
def running_moto() -> Iterator[Emulator]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Emulator(name="moto", endpoint_url=f"http://{host}:{port}")
    finally:
        server.stop()


def ministack_executable() -> Path:
    """Return `SHOPKPI_MINISTACK`, or the executable that `make setup` installs.

    Where it is missing, the test is skipped; `make test` sets `SHOPKPI_NEEDS_MINISTACK` and fails.
    """
    default = ROOT / ".venv-ministack" / "bin" / "ministack"
    path = Path(os.environ.get("SHOPKPI_MINISTACK", default))
    if not path.is_file():
        message = (
            f"MiniStack is missing: {path} is no file; `make setup` installs it, or "
            "SHOPKPI_MINISTACK names its executable"
        )
        if os.environ.get("SHOPKPI_NEEDS_MINISTACK"):
            raise FileNotFoundError(message)
        pytest.skip(message)
    return path


@contextmanager
def running_ministack(log: Path) -> Iterator[Emulator]:
    """A MiniStack process; its output goes to `log`."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_ACCOUNT_ID": "123456789012",
        "LOG_LEVEL": "ERROR",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [ministack_executable()],
            env=environment,
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_ready(process, f"{url}/_ministack/health", log)
            yield Emulator(name="ministack", endpoint_url=url)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="session")
def moto() -> Iterator[Emulator]:
    with running_moto() as emulator:
        yield emulator


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    log = tmp_path_factory.mktemp("ministack") / "ministack.log"
    with running_ministack(log) as emulator:
        yield emulator


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline_s = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    message = f"MiniStack did not start; its output:\n{log.read_text(errors='replace')}"
    raise RuntimeError(message)
