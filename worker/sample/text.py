"""Make blocks of CSV without a Python value per field.

Texts are arrays of fixed-width byte strings padded with NUL, and a block of rows is an array of
records of such fields. Deleting the padding leaves the block's CSV.

`pyarrow.csv` cannot replace this: it writes no row of too many columns, no bytes that are not
UTF-8, and no other dirt. It is slower too: 136 MB/s given columns of text, against 180 MB/s for
making and writing a whole sample.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.void]  # records as `csv_rows` makes them
Texts = npt.NDArray[np.bytes_]
Ints = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]

# Pieces of text by number. Groups of digits come without and (from 10,000 on) with leading zeros.
DIGIT_GROUPS = np.array([b"%d" % n for n in range(10_000)] + [b"%04d" % n for n in range(10_000)])
HEX_QUADS = np.array([b"%04x" % n for n in range(65_536)])
MINUTE_TEXTS = np.array([b"%02d:%02d:" % divmod(n, 60) for n in range(1440)])
TWO_DIGITS = np.array([b"%02d" % n for n in range(100)])


def csv_rows(columns: dict[str, Texts]) -> Rows:
    """Make records whose bytes, without the padding, are CSV lines.

    Behind each column's field is one for its end, ",name": a comma or, for the last column, the
    line end, with room for one more value. Fields have room for dirt: 12 bytes hold any id of
    digits.
    """
    *_, last = columns
    fields: list[tuple[str, str]] = []
    for name, texts in columns.items():
        fields.append((name, f"S{max(texts.itemsize, 12)}"))
        fields.append((f",{name}", "S12" if name == last else "S1"))
    rows = np.empty(len(columns[last]), dtype=fields)
    for name, texts in columns.items():
        rows[name] = texts
        rows[f",{name}"] = b"\n" if name == last else b","
    return rows


def csv_header(rows: Rows) -> bytes:
    """Write the header line of a block's CSV."""
    names = [name for name in rows.dtype.names or () if not name.startswith(",")]
    return ",".join(names).encode() + b"\n"


def csv_text(rows: Rows) -> bytes:
    """Write the lines of a block's CSV."""
    padded: npt.NDArray[np.uint8] = rows.view(np.uint8)
    text: bytes = padded[padded != 0].tobytes()
    return text


def join(*parts: Texts | bytes) -> Texts:
    """Concatenate texts row by row; the result may have padding inside."""
    count = max(len(part) for part in parts if not isinstance(part, bytes))
    sizes = [len(part) if isinstance(part, bytes) else part.itemsize for part in parts]
    joined = np.empty(count, dtype=[(f"{n}", f"S{size}") for n, size in enumerate(sizes)])
    for n, part in enumerate(parts):
        joined[f"{n}"] = part
    return joined.view(f"S{sum(sizes)}")


def digits(values: Ints) -> Texts:
    """Format integers >= 0 in decimal digits."""
    groups: list[Texts] = []
    rest, top = values, int(values.max(initial=0))
    while True:
        above = rest // 10_000
        group = DIGIT_GROUPS.take(rest - 10_000 * above + 10_000 * (above > 0))
        if groups:
            group[rest == 0] = b""  # a leading 0 is a digit only where it is the only one
        groups.append(group)
        rest, top = above, top // 10_000
        if top == 0:
            return join(*reversed(groups))


def money(cents: Ints) -> Texts:
    """Format amounts with two decimals."""
    return join(digits(cents // 100), b".", TWO_DIGITS.take(cents % 100))


def hex_quads(bits: Bits) -> list[Texts]:
    """Format 64 bits as 16 hex digits, in four columns of 4, the high ones first."""
    return [HEX_QUADS.take(quad) for quad in bits.astype(">u8").view(">u2").reshape(-1, 4).T]
