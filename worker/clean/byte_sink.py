"""A file in memory between Arrow's synchronous encoder and an asynchronous store."""

from __future__ import annotations

import io


class ByteSink(io.RawIOBase):
    """Buffers what the encoder writes until the event loop takes it."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # Arrow writes bytes only
        self._parts.append(bytes(data))
        self._position += len(data)
        return len(data)

    def take(self) -> bytes:
        """Return and forget the buffered bytes, as one: few large writes."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data
