"""Number every AWS call of a run, and make chosen ones fail.

Calls pass one at a time, in the order of their requests, so that a run makes the same calls each
time. The worker sees a fault as aiobotocore would show it.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import aiohttp
from aiobotocore.awsrequest import AioAWSResponse
from aiobotocore.httpsession import AIOHTTPSession
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError

KILLED = "killed"
"""The process ends before the call, and nothing of it is sent any more."""

FAULTS = ("throttled", "failed after it took effect", "answer lost", "body broken off")
"""The last one: only of calls that are answered with the bytes of an object."""

_STEPS = 100
"""Steps of the event loop in which any task gets from an answer to its next call."""

_CHANGING = ("TransactWriteItems", "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")


class Dead(BaseException):
    """The process has been killed: no code may go on, whatever it catches."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a run; equal in another workspace.

    Attributes:
        name: S3's method and the end of the path, or DynamoDB's operation.
        turn: How often that name was called before.
        changing: Whether it may change what is stored.
        streaming: Whether an object's bytes are the answer.
    """

    name: str
    turn: int
    changing: bool
    streaming: bool


@dataclass(kw_only=True)
class Calls:
    """Faults of a run, and the calls that it made.

    Attributes:
        faults: Calls that fail. A retry of such a call passes, and is no
            other call.
        made: Calls made so far.
    """

    faults: Mapping[Call, str] = field(default_factory=dict)
    made: list[Call] = field(default_factory=list)
    _dead: bool = False
    _again: Counter[tuple[Any, ...]] = field(default_factory=Counter)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def send(self, send: Callable[[Any], Any], request: Any) -> Any:
        """Replace `AIOHTTPSession.send`."""
        async with self._turn:
            # Whoever is not waiting for an answer comes to its next call meanwhile: which call is
            # next then does not depend on how long answers take.
            for _ in range(_STEPS):
                await asyncio.sleep(0)
            if self._dead:
                raise Dead
            what = (request.method, request.url, request.body)
            if self._again[what]:
                self._again[what] -= 1
                return await send(request)
            call = self._call(request)
            self.made.append(call)
            fault = self.faults.get(call)
            if fault is None:
                return await _whole(await send(request), call)
            if fault == KILLED:
                self._dead = True
                raise Dead
            if fault != "body broken off":  # then it is the rest that is asked for
                self._again[what] += 1
            if fault == "throttled":
                return _answer(request, throttled=True)
            answer = await send(request)
            if fault == "body broken off":
                answer.raw.content = _Stream(await answer.raw.read(), breaks_off=True)
                return answer
            await answer.content
            if fault == "failed after it took effect":
                return _answer(request, throttled=False)
            raise ConnectionClosedError(
                error=aiohttp.ServerDisconnectedError(), request=request, endpoint_url=request.url
            )

    def _call(self, request: Any) -> Call:
        target = request.headers.get("X-Amz-Target")
        if target is not None:
            text = target.decode() if isinstance(target, bytes) else target
            name = text.rpartition(".")[2]
            changing = name in _CHANGING
        else:
            end = request.url.rpartition("/")[2]
            for chance in ("(uploadId|versionId)=[^&]*", "(zone|bucket)-[0-9a-f]*"):
                end = re.sub(chance, "", end)
            name = f"{request.method} {end}"
            changing = request.method not in {"GET", "HEAD"}
        turn = sum(call.name == name for call in self.made)
        streaming = bool(request.stream_output)
        return Call(name=name, turn=turn, changing=changing, streaming=streaming)

    @contextmanager
    def in_the_way(self) -> Iterator[None]:
        """Intercept all clients' calls in the block."""
        through = AIOHTTPSession.send

        async def send(session: AIOHTTPSession, request: Any) -> Any:
            return await self.send(lambda one: through(session, one), request)

        with mock.patch.object(AIOHTTPSession, "send", send):
            yield


class _Body:
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self) -> bytes:
        return self._data


def _answer(request: Any, *, throttled: bool) -> AioAWSResponse:
    """Build an error answer of the service."""
    if "X-Amz-Target" in request.headers:
        code = "ThrottlingException" if throttled else "InternalServerError"
        body = f'{{"__type": "com.amazonaws.dynamodb.v20120810#{code}", "message": "."}}'
        status = 400 if throttled else 500
    else:
        code = "SlowDown" if throttled else "InternalError"
        body = f"<Error><Code>{code}</Code><Message>.</Message></Error>"
        status = 503 if throttled else 500
    # RFC 9110, section 9.3.2: an answer to HEAD has no body.
    data = b"" if request.method == "HEAD" else body.encode()
    headers = HTTPHeaders.from_dict({"content-length": str(len(data))})
    return AioAWSResponse(request.url, status, headers, _Body(data))


async def _whole(answer: Any, call: Call) -> Any:
    """Read the whole answer: otherwise its end would come at any time."""
    if call.streaming:
        answer.raw.content = _Stream(await answer.raw.read())
    return answer


class _Stream:
    """The body of an answer; it may break off half-way."""

    def __init__(self, data: bytes, *, breaks_off: bool = False) -> None:
        self._pieces = [data[: len(data) // 2]] if breaks_off else [data]
        self._breaks_off = breaks_off

    def set_read_chunk_size(self, _: int) -> None:
        """Ignore the limit for pausing the socket: there is none."""

    async def read(self, _: int) -> bytes:
        data = b"".join(self._pieces)
        self._pieces = []
        if self._breaks_off:
            raise aiohttp.ClientPayloadError("connection reset")
        return data

    async def readchunk(self) -> tuple[bytes, bool]:
        if self._pieces:
            return self._pieces.pop(), False
        if self._breaks_off:
            raise aiohttp.ClientPayloadError("connection reset")
        return b"", False

    def exception(self) -> None:
        """Return no error for aiohttp to pass on when it closes a response."""

    def set_exception(self, *_: object) -> None:
        """Ignore the error that aiohttp sets for a late reader."""
