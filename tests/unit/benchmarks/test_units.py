"""Units of DynamoDB requests, and the tap that pairs them with their answers."""

from __future__ import annotations

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import aiohttp
import pytest

from benchmarks.tap import Request, tapped
from benchmarks.units import Units, units_of


def request(target: str, **body: object) -> Request:
    head = b"POST / HTTP/1.1\r\nX-Amz-Target: DynamoDB_20120810.%s\r\n\r\n" % target.encode()
    return Request(at_s=0.0, head=head, body=json.dumps(body).encode())


def item(size: int) -> dict[str, Any]:
    return {"a": {"S": "x" * size}}


@pytest.mark.parametrize(
    ("asked", "answer", "expected"),
    [
        (request("GetItem"), {"Item": item(10)}, (1, 0)),
        (request("GetItem"), {}, (1, 0)),
        (request("GetItem"), {"Item": item(5000)}, (2, 0)),
        (request("Query"), {"Items": [item(3000), item(3000)]}, (2, 0)),
        (
            request("BatchGetItem", RequestItems={"t": {"Keys": [{}, {}, {}]}}),
            {"Responses": {"t": [item(10), item(5000)]}},
            (4, 0),
        ),
        (request("PutItem", Item=item(1500)), {}, (0, 2)),
        (request("DeleteItem"), {}, (0, 1)),
        (
            request("TransactWriteItems", TransactItems=[{"Put": {"Item": item(1500)}}, {}]),
            {},
            (0, 6),
        ),
    ],
)
def test_units_follow_from_sizes(
    asked: Request, answer: dict[str, Any], expected: tuple[int, int]
) -> None:
    read, write = expected
    found = units_of([(asked, json.dumps(answer).encode())])
    assert found == Units(requests=1, read=read, write=write)


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"Item": {"asked": {"S": asked.decode()}}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:5])
        self.wfile.flush()
        self.wfile.write(body[5:])

    def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002


def test_a_tap_pairs_requests_with_their_answers() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    async def ask(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            for number in range(5):
                headers = {"X-Amz-Target": "DynamoDB_20120810.GetItem"}
                async with session.post(url, data=str(number), headers=headers) as answer:
                    await answer.read()

    try:
        with tapped(f"http://127.0.0.1:{server.server_port}") as tap:
            asyncio.run(ask(tap.endpoint_url))
            assert [one.body for one in tap.requests] == [b"0", b"1", b"2", b"3", b"4"]
            assert [(asked.body.decode(), json.loads(body)) for asked, body in tap.answers] == [
                (str(number), {"Item": {"asked": {"S": str(number)}}}) for number in range(5)
            ]
    finally:
        server.shutdown()
        server.server_close()
