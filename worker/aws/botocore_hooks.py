"""Replacements of slow parts of botocore, by hooks that its releases may change.

No other module reaches into botocore or aiobotocore. `tests/unit/worker/aws/test_botocore_hooks.py`
fails where a release no longer calls a hook, or answers otherwise than a replacement;
pyproject.toml bounds the version. CPU time saved, measured with aiobotocore 3.10:

- `FastLoader`: 30 ms for each client.
- `FastLoader` without `operationContextParams`: 1 ms of 2.5 for each transaction of 100 items.
- `read_timestamp`: 0.05 ms for each time in an answer; an answer to HEAD has two.
- `SharedContextSession`: 18 ms for each client but the first.
"""

from __future__ import annotations

import gzip
import os
import re
import ssl
import threading
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import orjson
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.loaders import JSONFileLoader, Loader
from botocore.utils import parse_timestamp

_HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT", re.ASCII)
_ISO_8601 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{3})?Z", re.ASCII)


def install(session: AioSession, loader: Loader) -> None:
    """Make a session load service models by `loader`, and read times by `read_timestamp`."""
    session.register_component("data_loader", loader)
    parsers = session.get_component("response_parser_factory")
    parsers.set_parser_defaults(timestamp_parser=read_timestamp)


def read_timestamp(value: str | float) -> datetime:
    """Read a time of an answer as botocore does, aware; HTTP dates and ISO 8601 fast."""
    if isinstance(value, str):
        with suppress(ValueError):
            if _HTTP_DATE.fullmatch(value):
                return parsedate_to_datetime(value)
            if _ISO_8601.fullmatch(value):
                return datetime.fromisoformat(value)
    return parse_timestamp(value)  # type: ignore[arg-type]  # it reads numbers too


class FastLoader(Loader):
    """Load service models without looking into the folders of all 400 services."""

    def __init__(self) -> None:
        super().__init__(file_loader=_OrjsonFiles())

    def list_available_services(self, type_name: str) -> list[str]:
        """List services that have a folder, whether it has a description of that type or not."""
        del type_name
        # Not `Path.is_dir`, which raises below a home that may not be searched.
        paths = [path for path in self.search_paths if os.path.isdir(path)]  # noqa: PTH112
        return sorted({folder.name for path in paths for folder in Path(path).iterdir()})

    def load_service_model(
        self, service_name: str, type_name: str, api_version: str | None = None
    ) -> dict[str, Any]:
        """Load a description; raise as `Loader`, which would not have listed the service."""
        try:
            model: dict[str, Any] = super().load_service_model(service_name, type_name, api_version)
        except DataNotFoundError as error:
            raise UnknownServiceError(service_name=service_name, known_service_names="") from error
        if (service_name, type_name) == ("dynamodb", "service-2"):
            # botocore would search each request for ARNs of tables, which could name an endpoint.
            # Our requests name tables.
            for operation in model["operations"].values():
                operation.pop("operationContextParams", None)
        return model


class _OrjsonFiles(JSONFileLoader):
    """Read JSON files, compressed or not, by orjson."""

    def load_file(self, file_path: str) -> object:
        for suffix, opened in ((".json", open), (".json.gz", gzip.open)):
            with suppress(OSError), opened(f"{file_path}{suffix}", "rb") as file:
                return orjson.loads(file.read())
        return None


_CONTEXTS_LOCK = threading.Lock()
"""Clients are made in several threads."""

_CONTEXTS: dict[bool | str, ssl.SSLContext] = {}
"""By the trusted certificates: those of botocore (True), none (False), or those of a file."""


class SharedContextSession(AIOHTTPSession):
    """Connect all clients with one TLS context for each set of trusted certificates.

    A context also holds the certificates that a client presents. No client here presents one.
    """

    def _build_verify_context(self) -> ssl.SSLContext:
        trusted: bool | str = self._verify  # type: ignore[attr-defined]  # not in the stubs
        with _CONTEXTS_LOCK:
            if trusted not in _CONTEXTS:
                _CONTEXTS[trusted] = super()._build_verify_context()  # type: ignore[misc]
            return _CONTEXTS[trusted]
