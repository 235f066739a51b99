"""Keyed digests of ids: whoever does not have the key cannot try which id a digest is of.

A digest is the AES-CMAC of an id's text under a key that is derived from the ledger's secret, so
that whole columns are looked up at once. Ids are few and often small integers: a digest without a
key would be found by trying them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from copy import copy

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from kpi.kernels.arrays import Mask
from kpi.kernels.key_hashing import BLOCK_BYTES, KeyHasher
from kpi.kernels.uuids import UUID, format_uuid

FIRST_PSEUDONYM = 2**62
"""Least integer that is a pseudonym: ids of shops are less, and 2**62 of them are left."""

PSEUDONYM_PREFIX = "erased-"
"""Beginning of a pseudonym that is a text."""

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")

_HYPHENS = (8, 13, 18, 23)
"""Positions of the hyphens in the text of a UUID (RFC 9562)."""

Found = npt.NDArray[np.int64]
"""For each value its position among the digests, or -1."""


class Digests:
    """Looks up ids of one kind by their digests."""

    def __init__(self, secret: bytes, kind: str, digests: Iterable[bytes] = ()) -> None:
        """Prepare to look up.

        Args:
            secret: Of the ledger.
            kind: What the ids are of: equal ids of other kinds have other digests.
            digests: Digests that are looked for.
        """
        self._hasher = KeyHasher(_derive(secret, f"digest of {kind}"))
        self._pseudonyms = _derive(secret, f"pseudonym of {kind}")
        self.digests = tuple(digests)
        words = np.frombuffer(b"".join(self.digests), np.uint64).reshape(-1, 2)
        self._order = np.argsort(words[:, 0], kind="stable")
        self._high, self._low = words[self._order, 0], words[self._order, 1]

    def without_any(self) -> Digests:
        """Return the same without any digest that is looked for."""
        found = copy(self)
        found.digests = ()
        return found

    def of(self, text: str) -> bytes:
        """Return the digest of an id."""
        high, low = self._hasher.hash_rows([pa.chunked_array([pa.array([text])])])
        return high.tobytes() + low.tobytes()

    def find(self, ids: pa.ChunkedArray) -> Found:
        """Look up a column of ids: integers, UUIDs or strings; null is nobody's."""
        found = np.full(len(ids), -1, np.int64)
        if not self.digests or not len(ids):
            return found
        texts = as_texts(ids)
        high, low = self._hasher.hash_rows([texts.fill_null("")])
        at = np.minimum(np.searchsorted(self._high, high), len(self._high) - 1)
        hits = np.flatnonzero(self._high[at] == high)
        if not len(hits):
            return found
        valid = texts.is_valid()
        for row in hits.tolist():
            for position in range(int(at[row]), len(self._high)):
                if self._high[position] != high[row]:
                    break
                if self._low[position] == low[row] and valid[row].as_py():
                    found[row] = self._order[position]
        return found

    def contains(self, texts: Sequence[str]) -> Mask:
        """Return which of some texts are ids, however a whole number among them is written."""
        plain = self.find(pa.chunked_array([pa.array(texts, pa.string())])) >= 0
        numbers = [at for at, text in enumerate(texts) if number_form(text) not in (None, text)]
        if numbers:
            forms = [number_form(texts[at]) for at in numbers]
            plain[numbers] |= self.find(pa.chunked_array([pa.array(forms, pa.string())])) >= 0
        return plain

    def pseudonym(self, position: int) -> bytes:
        """Return 16 bytes that take the place of the id of a digest, the same ones each time."""
        return hashlib.blake2b(
            self.digests[position], key=self._pseudonyms, digest_size=BLOCK_BYTES
        ).digest()


def as_texts(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Convert a column of ids to texts, as `shopkpi erase-customer` is given them."""
    if ids.type == UUID:
        return pa.chunked_array([_format_uuids(chunk) for chunk in ids.chunks], pa.string())
    return pc.cast(ids, pa.string())


def pseudonyms_as(kind: pa.DataType, pseudonyms: Sequence[bytes]) -> pa.Array:
    """Convert pseudonyms to values of a column's type."""
    if pa.types.is_integer(kind):
        return pa.array(map(_as_number, pseudonyms), kind)
    if kind == UUID:
        return pa.array(pseudonyms, kind)
    return pa.array(map(_as_text, pseudonyms), kind)


def pseudonym_texts(pseudonym: bytes) -> tuple[str, str, str]:
    """Return the texts of a pseudonym in columns of each type."""
    return str(_as_number(pseudonym)), format_uuid(pseudonym), _as_text(pseudonym)


def _as_number(pseudonym: bytes) -> int:
    return FIRST_PSEUDONYM + int.from_bytes(pseudonym[:8]) % FIRST_PSEUDONYM


def _as_text(pseudonym: bytes) -> str:
    return f"{PSEUDONYM_PREFIX}{pseudonym.hex()}"


def number_form(text: str) -> str | None:
    """Return a whole number as an integer column has it; None where a text is none."""
    return str(int(text)) if _WHOLE_NUMBER.fullmatch(text) else None


def _derive(secret: bytes, purpose: str) -> bytes:
    return hashlib.blake2b(purpose.encode(), key=secret, digest_size=BLOCK_BYTES).digest()


def _format_uuids(chunk: pa.Array) -> pa.Array:
    """Format an array of 16-byte UUIDs as texts in lower case."""
    size = len(chunk)
    if not size:
        return pa.array([], pa.string())
    data = np.frombuffer(chunk.buffers()[1], np.uint8)
    values = data[chunk.offset * 16 : (chunk.offset + size) * 16].reshape(size, 16)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    codes = np.full((size, 36), ord("-"), np.uint8)
    places = [at for at in range(36) if at not in _HYPHENS]
    codes[:, places[0::2]] = digits[values >> 4]
    codes[:, places[1::2]] = digits[values & 15]
    offsets = np.arange(size + 1, dtype=np.int32) * 36
    texts = pa.StringArray.from_buffers(size, pa.py_buffer(offsets), pa.py_buffer(codes))
    return pc.if_else(chunk.is_valid(), texts, pa.scalar(None, pa.string()))
