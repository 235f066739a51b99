"""Match the header record of a source object with its contract."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from kpi.contract.arrow_types import arrow_type
from kpi.contract.model import Contract, Dataset, header_form
from kpi.csv.first_record import find_other_format, unquote_line

RESCUED = "_rescued"
"""Clean-zone column: header -> text of the columns that the contract does not know."""

MAX_HEADER_BYTES = 255
"""Bytes of one column's name. `_rescued` repeats the names of unknown columns in every row."""

MAX_MATCHED_HEADERS = 200
"""Headers compared with the known spellings for the reason of a refusal."""

MAX_DIFFERENT_LETTERS = 2
"""Between a header and a known spelling that it is close to."""

OTHER_DELIMITERS = ";\t|,"
"""Delimiters to suggest where the contract's own yields one column."""

TEXT_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
RESCUED_TYPE = pa.map_(TEXT_DICTIONARY, pa.string())
DICTIONARY_COLUMNS = frozenset({"status", "category"})
"""Text columns with few distinct values: each is stored once, instead of once per row."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The reason for refusing a source object as a whole: what was expected, and what came.

    Attributes:
        reason: For the ledger, logs and mails.
        header: The first record as it came, for the terminal of a person who has the file; empty
            where it could not be read. It may hold values of a row.
    """

    reason: str
    header: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The meaning of each field in the records of one source object.

    Attributes:
        contract: The contract of the rows.
        dataset: The dataset of the object.
        names: For each field of a record its canonical column; `?` + its header where the contract
            has no such column.
        headers: For each field its header as it came.
    """

    contract: Contract
    dataset: Dataset
    names: tuple[str, ...]
    headers: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """Schema of the object's clean rows."""
        unknown = any(name.startswith("?") for name in self.names)
        return clean_schema(self.dataset, rescued=unknown)

    @property
    def has_texts(self) -> bool:
        """Whether a column has texts of any length and many distinct values."""
        return any(
            name.startswith("?") or pa.types.is_string(clean_type(self.dataset, name))
            for name in self.names
        )


def clean_schema(dataset: Dataset, *, rescued: bool = True) -> pa.Schema:
    """Build the clean zone's schema: the dataset's columns in the contract's order, `_rescued`.

    Args:
        dataset: The dataset.
        rescued: Whether to add `_rescued`, as for objects with unknown columns.
    """
    fields = [
        pa.field(name, clean_type(dataset, name), nullable=not column.required)
        for name, column in dataset.columns.items()
    ]
    if rescued:
        fields.append(pa.field(RESCUED, RESCUED_TYPE))
    return pa.schema(fields)


def clean_type(dataset: Dataset, name: str) -> pa.DataType:
    """Return the type of a column in the clean zone, `_rescued` among them."""
    if name == RESCUED:
        return RESCUED_TYPE
    column = dataset.columns[name]
    if name in DICTIONARY_COLUMNS and column.type == "string" and name not in dataset.key:
        return TEXT_DICTIONARY
    return arrow_type(column)


def read_layout(record: bytes, contract: Contract, dataset: Dataset) -> Layout | Refusal:
    """Match a header record with the contract.

    Args:
        record: The first record of the object, without line end; a byte order mark is skipped.
        contract: The contract of the object.
        dataset: The dataset of the object.
    """
    text = _decode(record)
    if isinstance(text, Refusal):
        return text
    csv.field_size_limit(2**31 - 1)
    headers = next(csv.reader([text], delimiter=contract.delimiter), [])
    if len(headers) > contract.max_columns:
        return Refusal(
            reason=f"expected at most {contract.max_columns} columns, got {len(headers)}"
        )
    longest = max((len(header.encode()) for header in headers), default=0)
    if longest > MAX_HEADER_BYTES:
        return Refusal(
            reason=f"expected column names of at most {MAX_HEADER_BYTES} bytes, got one of "
            f"{longest} bytes"
        )
    known = {
        header_form(header): column.name
        for column in dataset.columns.values()
        for header in (column.name, *column.headers)
    }
    names: dict[str, None] = {}
    for header in headers:
        name = known.get(header_form(header), f"?{header}")
        if name in names:
            if not name.startswith("?"):
                return Refusal(reason=f"expected column {name} once, got it twice in the header")
            name = f"{name}#{len(names) + 1}"
            while name in names:  # a header may look like that itself
                name += "#"
        names[name] = None
    missing = [name for name in dataset.required if name not in names]
    if missing:
        wanted = f"column{'s' * (len(missing) > 1)} {', '.join(missing)}"
        got = describe_headers(headers, known, contract.delimiter)
        return Refusal(reason=f"expected {wanted}, got {got}", header=tuple(headers))
    return Layout(contract=contract, dataset=dataset, names=tuple(names), headers=tuple(headers))


def describe_headers(headers: Sequence[str], known: Mapping[str, str], delimiter: str) -> str:
    """Describe the headers for a reason, which ends in the ledger, logs and mails.

    The first record may be data, where the header is missing. So only names that are known, or
    close to a known spelling, are quoted.
    """
    matches = _match(headers, known)
    if matches:
        return f"a header of {_count(headers)}; {matches}"
    if len(headers) == 1:
        fields = unquote_line(headers[0], delimiter)
        if fields is not None and (matches := _match(fields, known)):
            return (
                f"one quoted field that holds {_count(fields)}; {matches}; are the lines quoted "
                "as a whole?"
            )
        for other in OTHER_DELIMITERS.replace(delimiter, ""):
            parts = headers[0].split(other)
            if len(parts) > 1 and (matches := _match(parts, known)):
                hint = f"with the delimiter {other!r} it has {len(parts)}; {matches}"
                return f"a header of 1 column; {hint} (csv.delimiter)"
    return f"a first record of {_count(headers)}, none of them known; is the header missing?"


def _count(headers: Sequence[str]) -> str:
    return f"{len(headers)} column{'s' * (len(headers) != 1)}"


def _match(headers: Sequence[str], known: Mapping[str, str]) -> str:
    """Name the headers that are a known spelling, or close to one."""
    names: list[str] = []
    similar: list[str] = []
    for header in map(header_form, headers[:MAX_MATCHED_HEADERS]):
        if header in known:
            names.append(known[header])
            continue
        spelling = next((one for one in known if _is_close(header, one)), None)
        if spelling is not None:
            similar.append(f"{header} ({known[spelling]}?)")
    found = (("known", names), ("similar", similar))
    return "; ".join(f"{word}: {', '.join(listed)}" for word, listed in found if listed)


def _is_close(text: str, spelling: str) -> bool:
    """Check for at most two letters of difference, and one in three.

    With more, a short value of a row would be close to a short name: `ok` to `id`.
    """
    limit = min(MAX_DIFFERENT_LETTERS, len(spelling) // 3)
    return abs(len(text) - len(spelling)) <= limit and _edit_distance(text, spelling) <= limit


def _edit_distance(one: str, other: str) -> int:
    """Count letters to insert, delete or replace (Levenshtein)."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]


def _decode(record: bytes) -> str | Refusal:
    other = find_other_format(record)
    if other is not None:
        return Refusal(reason=other)
    if b"\0" in record:
        return Refusal(reason="expected a header of text, got NUL bytes: this is not a CSV file")
    try:
        return record.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        got = f"byte {record[error.start]:#04x} at {error.start}"
        return Refusal(reason=f"expected a header in UTF-8, got {got}")
