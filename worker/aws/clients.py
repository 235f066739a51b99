"""AWS clients: how they are made."""

from __future__ import annotations

import gzip
import os
import re
import ssl
import threading
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import Any

import aiobotocore
import orjson
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.exceptions import DataNotFoundError, UnknownServiceError
from botocore.loaders import JSONFileLoader, Loader
from botocore.utils import parse_timestamp

_HTTP_DATE = re.compile(r"[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT", re.ASCII)
_ISO_8601 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{3})?Z", re.ASCII)


def session() -> AioSession:
    """A session for one client."""
    made = AioSession()
    made.register_component("data_loader", _descriptions())
    parsers = made.get_component("response_parser_factory")
    parsers.set_parser_defaults(timestamp_parser=read_time)
    return made


def read_time(value: str | float) -> datetime:
    """A time of an answer, aware, as botocore reads it; HTTP dates and ISO 8601 in a tenth of the
    time, which was an eighth of what a request takes."""
    if isinstance(value, str):
        with suppress(ValueError):
            if _HTTP_DATE.fullmatch(value):
                return parsedate_to_datetime(value)
            if _ISO_8601.fullmatch(value):
                return datetime.fromisoformat(value)
    return parse_timestamp(value)  # type: ignore[arg-type]  # it reads numbers too


class Descriptions(Loader):
    """What describes the services to botocore, found and read in a third of the time.

    Its own loader looks into the folders of all services, some four hundred, to find one.
    """

    def __init__(self) -> None:
        super().__init__(file_loader=_Files())

    def list_available_services(self, type_name: str) -> list[str]:
        """Services that have a folder, with a description of that type in it or not."""
        del type_name
        # Not `Path.is_dir`, which raises below a home that may not be searched.
        paths = [path for path in self.search_paths if os.path.isdir(path)]  # noqa: PTH112
        return sorted({folder.name for path in paths for folder in Path(path).iterdir()})

    def load_service_model(
        self, service_name: str, type_name: str, api_version: str | None = None
    ) -> Any:  # noqa: ANN401  (any JSON)
        """As of a `Loader`, which would not have listed a service without that type."""
        try:
            model = super().load_service_model(service_name, type_name, api_version)
        except DataNotFoundError as error:
            raise UnknownServiceError(service_name=service_name, known_service_names="") from error
        if (service_name, type_name) == ("dynamodb", "service-2"):
            # Where a request names tables: if it did by their ARNs, those would tell the endpoint.
            # Here they have names, and to look for them takes a tenth of the time of a transaction.
            for operation in model["operations"].values():
                operation.pop("operationContextParams", None)
        return model


class _Files(JSONFileLoader):
    def load_file(self, file_path: str) -> Any:  # noqa: ANN401  (any JSON)
        for suffix, opened in ((".json", open), (".json.gz", gzip.open)):
            with suppress(OSError), opened(f"{file_path}{suffix}", "rb") as file:
                return orjson.loads(file.read())
        return None


@cache
def _descriptions() -> Loader:
    """Shared, since reading them again for each client takes longer than a call."""
    return Descriptions()


class Sessions(AIOHTTPSession):
    """Connections of a client. All clients check servers with the same certificates: to read those
    takes longer than to make a client. What a client shows of itself would be shared too; here none
    has a certificate of its own, or a proxy's."""

    # Not in the stubs of aiobotocore; should it have another name one day, a test will tell.
    def _build_verify_context(self) -> ssl.SSLContext:
        by: bool | str = self._verify  # type: ignore[attr-defined]
        with _READING:  # clients are made in several threads
            if by not in _CONTEXTS:
                _CONTEXTS[by] = super()._build_verify_context()  # type: ignore[misc]
            return _CONTEXTS[by]


_READING = threading.Lock()
_CONTEXTS: dict[bool | str, ssl.SSLContext] = {}
"""By the certificates that they trust: those that come with botocore, none, or those in a file."""


def client_config(*, max_pool: int) -> AioConfig:
    """Settings of every client.

    Args:
        max_pool: Connections kept open at once.
    """
    return AioConfig(
        max_pool_connections=max_pool,
        http_session_cls=Sessions,
        # Told as it is. What botocore puts together of the machine takes as long, for every
        # request, as to sign it.
        user_agent=f"shopkpi aiobotocore/{aiobotocore.__version__}",
        connect_timeout=5,
        # Of silence on the socket, not of the whole answer.
        read_timeout=30,
        # `worker.runtime.retry` retries, so that there is one policy, and one that tests can drive.
        retries={"total_max_attempts": 1},
        # S3 has no checksum for a range of an object; TLS protects it on the way.
        response_checksum_validation="when_required",
        # Requests are built from typed values here; checking each against the service model costs
        # more than sending it.
        parameter_validation=False,
    )
