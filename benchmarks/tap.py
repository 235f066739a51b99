"""A tap on the line between AWS clients and an emulator: it notes requests and their answers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

READ_BYTES = 1 << 18


@dataclass(frozen=True, kw_only=True)
class Request:
    """An HTTP request that passed by.

    Attributes:
        at_s: `time.perf_counter` when its head had come.
        head: Request line and headers, with the empty line.
        body: What followed.
    """

    at_s: float
    head: bytes
    body: bytes

    @property
    def is_ranged_get(self) -> bool:
        return self.head.startswith(b"GET ") and b"\r\nrange: bytes=" in self.head.lower()

    @property
    def target(self) -> str:
        """The operation of a DynamoDB request; empty for others."""
        found = self.head.lower().partition(b"\r\nx-amz-target: dynamodb_20120810.")[2]
        return found.split(b"\r\n", 1)[0].decode()


class Tap:
    """Listens on a port of 127.0.0.1 and forwards to an emulator's.

    Attributes:
        endpoint_url: Where it listens.
        requests: Those that passed by; it grows.
        answers: Requests to DynamoDB with the bodies of their answers; it grows.
    """

    def __init__(self, endpoint_url: str) -> None:
        host, port = endpoint_url.removeprefix("http://").split(":")
        self._host, self._port = host, int(port)
        self._tasks: set[asyncio.Task[None]] = set()
        self.endpoint_url = ""
        self.requests: list[Request] = []
        self.answers: list[tuple[Request, bytes]] = []

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=READ_BYTES)
        self.endpoint_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (this is one)
        self._tasks.add(task)
        there, back = await asyncio.open_connection(self._host, self._port)
        waiting: deque[Request] = deque()
        answers = asyncio.create_task(self._pass_on(there, writer, waiting))
        heads = _Requests()
        try:
            while data := await reader.read(READ_BYTES):
                found = [*heads.feed(data)]
                self.requests += found
                waiting += found
                back.write(data)
                await back.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or the benchmark is over
        finally:
            answers.cancel()
            back.close()
            writer.close()
            self._tasks.discard(task)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, waiting: deque[Request]
    ) -> None:
        """Forward answers; those to DynamoDB, which are short and have a length, are kept."""
        rest = b""
        try:
            while data := await reader.read(READ_BYTES):
                # An answer is kept before the client has it, and may go on.
                if waiting and waiting[0].target:
                    rest += data
                    while waiting and (body := _body_of(rest)) is not None:
                        self.answers.append((waiting.popleft(), body[0]))
                        rest = body[1]
                else:
                    waiting.clear()  # S3: a connection has one service alone
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # the client has gone
        finally:
            writer.close()

    async def stop(self, server: asyncio.Server) -> None:
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Requests:
    """Cuts what a client sends into requests; bodies have a Content-Length or are none."""

    def __init__(self) -> None:
        self._rest = b""
        self._at_s = 0.0

    def feed(self, data: bytes) -> Iterator[Request]:
        if not self._rest:
            self._at_s = time.perf_counter()
        self._rest += data
        while b"\r\n\r\n" in self._rest:
            end = self._rest.index(b"\r\n\r\n") + 4
            head = self._rest[:end]
            size = int(head.lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n")[0] or b"0")
            if len(self._rest) < end + size:
                return
            yield Request(at_s=self._at_s, head=head, body=self._rest[end : end + size])
            self._rest = self._rest[end + size :]


def _body_of(data: bytes) -> tuple[bytes, bytes] | None:
    """Return the body of the first answer, and what follows; None where it is not whole."""
    head, found, rest = data.partition(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
    if not found or len(rest) < int(length or b"0"):
        return None
    return rest[: int(length or b"0")], rest[int(length or b"0") :]


@contextmanager
def tapped(endpoint_url: str) -> Iterator[Tap]:
    """Run a tap in a thread of its own while the block lasts."""
    tap = Tap(endpoint_url)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(tap.start(), loop).result()
    try:
        yield tap
    finally:
        asyncio.run_coroutine_threadsafe(tap.stop(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
