"""Match the header record of a source object with its contract."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from kpi.contract.arrow_types import arrow_type
from kpi.contract.model import Contract, Dataset, header_form

RESCUED = "_rescued"
"""Clean-zone column: header -> text of the columns that the contract does not know."""

MAX_HEADER_BYTES = 255
"""Bytes of one column's name. `_rescued` repeats the names of unknown columns in every row."""

NAME_PATTERN = re.compile(r"([^\W\d][\w .:%#&'$€+*()\[\]/-]*)?")
MAX_NAME_CHARACTERS, MAX_NAME_DIGITS = 60, 3
"""Shape of a column's name, as against an id, an amount, a date or an address."""

OTHER_DELIMITERS = ";\t|,"
"""Delimiters to suggest where the contract's own yields one column."""

RESCUED_TYPE = pa.map_(pa.string(), pa.string())
TEXT_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
DICTIONARY_COLUMNS = frozenset({"status", "category"})
"""Text columns with few distinct values: each is stored once, instead of once per row."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The reason for refusing a source object as a whole: what was expected, and what came."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The meaning of each field in the records of one source object.

    Attributes:
        contract: The contract of the rows.
        dataset: The dataset of the object.
        names: For each field of a record its canonical column; `?` + its header where the contract
            has no such column.
    """

    contract: Contract
    dataset: Dataset
    names: tuple[str, ...]

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
    """Return the type of a column in the clean zone."""
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
        is_header = len(missing) < len(dataset.required)
        return Refusal(reason=f"expected {wanted}, got {_shown(headers, is_header=is_header)}")
    return Layout(contract=contract, dataset=dataset, names=tuple(names))


def _shown(headers: Sequence[str], *, is_header: bool) -> str:
    """Describe the headers for a reason, which ends in logs.

    A first record that is no header is data, so it is not shown.
    """
    names = [header.strip() for header in headers]
    text = f"the header: {', '.join(names[:20])[:500]}"
    if is_header or all(map(_is_name, names)):
        return text
    for other in OTHER_DELIMITERS:
        if len(names) == 1 and all(_is_name(name.strip()) for name in names[0].split(other)):
            return f"{text} (is its delimiter {other!r}?)"
    return f"a first record of {len(names)} that are no column names: is the header missing?"


def _is_name(text: str) -> bool:
    is_short = len(text) <= MAX_NAME_CHARACTERS
    has_few_digits = sum(map(str.isdigit, text)) <= MAX_NAME_DIGITS
    return is_short and has_few_digits and NAME_PATTERN.fullmatch(text) is not None


def _decode(record: bytes) -> str | Refusal:
    if record.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return Refusal(reason="expected UTF-8, got UTF-16 (its byte order mark stands first)")
    if b"\0" in record:
        return Refusal(reason="expected a header of text, got NUL bytes: this is not a CSV file")
    try:
        return record.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        got = f"byte {record[error.start]:#04x} at {error.start}"
        return Refusal(reason=f"expected a header in UTF-8, got {got}")
