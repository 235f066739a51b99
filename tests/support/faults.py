"""Servers that misbehave: a proxy that breaks chosen exchanges, and one with answers of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(kw_only=True)
class Fault:
    """Strikes one exchange: the first whose request holds `marker`, after `skip` such requests.

    Attributes:
        marker: Bytes of the request's head, as `TransactWriteItems` or `GET /`.
        skip: Matching requests that go through before.
        action: Awaited before the request goes on.
        request_lost: The connection closes instead, and the request does not go on.
        answer_bytes: Bytes of the answer after which the connection closes. 0 loses the answer of
            a request that takes effect. None: the answer comes whole.
    """

    marker: bytes
    skip: int = 0
    action: Callable[[], Awaitable[object]] | None = None
    request_lost: bool = False
    answer_bytes: int | None = None


class FaultyProxy:
    """Forwards connections to an emulator.

    Attributes:
        faults: Strike once each, in any order.
        url: The endpoint for clients.
    """

    def __init__(self, target_url: str) -> None:
        target = urlsplit(target_url)
        self._host, self._port = str(target.hostname), int(target.port or 80)
        self.faults: list[Fault] = []
        self.url = ""
        self._connections: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def close(self) -> None:
        """End all connections."""
        connections = list(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with _closing(writer):
            upstream_reader, upstream = await asyncio.open_connection(self._host, self._port)
            async with _closing(upstream):
                # Bytes of the answer that may still pass; None: all.
                budget: list[int | None] = [None]
                tasks = {
                    asyncio.create_task(self._requests(reader, upstream, budget)),
                    asyncio.create_task(_answers(upstream_reader, writer, budget)),
                }
                try:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)

    async def _requests(
        self,
        reader: asyncio.StreamReader,
        upstream: asyncio.StreamWriter,
        budget: list[int | None],
    ) -> None:
        while data := await reader.read(1 << 16):
            fault = self._strike(data)
            if fault is not None:
                if fault.action is not None:
                    await fault.action()
                if fault.request_lost:
                    return
                budget[0] = fault.answer_bytes
            upstream.write(data)
            await upstream.drain()

    def _strike(self, data: bytes) -> Fault | None:
        for fault in self.faults:
            if fault.marker in data:
                if fault.skip == 0:
                    self.faults.remove(fault)
                    return fault
                fault.skip -= 1
        return None


async def _answers(
    upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: list[int | None]
) -> None:
    while data := await upstream.read(1 << 16):
        left = budget[0]
        if left is not None:
            budget[0] = left - len(data)
            data = data[: max(left, 0)]
        writer.write(data)
        await writer.drain()
        if left is not None and len(data) == left:
            return


@asynccontextmanager
async def _closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    try:
        yield
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def answering(answers: Callable[[str], tuple[str, bytes]]) -> AsyncIterator[str]:
    """An HTTP server that answers a request line with a status line, headers and a body.

    `answers` gets the request line (`HEAD /bucket/key HTTP/1.1`) and returns the head of the answer
    without its empty line, and the body. Yields the endpoint for clients.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with _closing(writer):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:-2])
            if "expect" in headers:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await reader.readexactly(int(headers.get("content-length", 0)))
            answer, body = answers(head.split("\r\n", maxsplit=1)[0])
            writer.write(f"HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n".encode() + body)
            await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def faulty_proxy(target_url: str) -> AsyncIterator[FaultyProxy]:
    """A proxy on a free port of 127.0.0.1; `url` is the endpoint for clients."""
    proxy = FaultyProxy(target_url)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await server.wait_closed()
        await proxy.close()
