"""Erase customers from the records of a raw file with a header, and leave all other bytes alone.

A record of a deleted order is removed. Any other of a customer gets the pseudonym, and the cells
that the contract does not read are emptied: names and addresses tell as much as an id. A record
that cannot be cut into cells, and has the id anywhere, is removed.

Records are cut at line ends outside of quotes. Where that gives another number of cells than the
header has, each line is taken for itself: quotes that nobody closed must not join the rows of
others.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

import pyarrow as pa

from kpi.contract.folding import BLANKS, fold
from kpi.contract.model import Contract
from kpi.erasure.digests import pseudonym_texts
from kpi.erasure.places import CUSTOMER, DATASETS_OF_CUSTOMERS, ORDER, customer_steps
from kpi.erasure.rejects import mentions
from kpi.erasure.rows import Subjects
from kpi.kernels.arrays import Mask

HEADER_LINES = 50
"""Lines of a file in which its header is looked for."""

QUOTED_LINES = 1_000
"""Lines that one record may have; more are taken for an open quote."""

LOSSLESS = "latin-1"
"""Decodes any bytes, one to one. Ids are compared as UTF-8."""


@dataclass(frozen=True, kw_only=True)
class RawColumns:
    """Headers of raw files, folded.

    Attributes:
        customers: Of columns with ids of customers.
        orders: Of columns with ids of orders.
        read: Of all columns that the contract reads; others of a customer's record are emptied.
        delimiters: That files may have.
        kind: Type of a customer's id.
    """

    customers: frozenset[str]
    orders: frozenset[str]
    read: frozenset[str]
    delimiters: tuple[str, ...]
    kind: str = "string"


def raw_columns(contract: Contract, path: str) -> RawColumns:
    """Find the headers of the file at a path that matter.

    Args:
        contract: Says which dataset or datasets its rows are of.
        path: Of the file; where the contract does not know it, it may be of any dataset.
    """
    if contract.shop is None:
        known = contract.dataset_of(path)
        names = contract.datasets if known is None else [known]
        columns = _Columns()
        for name in names:
            for column in contract.datasets[name].columns.values():
                columns.add({column.name, *column.headers}, column.name)
        kind = contract.datasets["orders"].columns[CUSTOMER].type
        return columns.found((contract.delimiter,), kind)
    shop, columns = contract.shop, _Columns()
    steps = {(name, one) for name, *both in customer_steps(shop) for one in both}
    feeds = {name for layout in shop.layouts_of_object(path) for name in layout.feeds}
    for name in feeds or shop.all_datasets:
        for one in shop.all_datasets[name].columns.values():
            role = CUSTOMER if (name, one.name) in steps else one.name
            if role == ORDER and name not in DATASETS_OF_CUSTOMERS:
                role = ""
            columns.add({*one.headers, *one.join, *one.when}, role)
    return columns.found((",", ";", "\t", "|"), "string")


@dataclass
class _Columns:
    """Folded headers, by what they are."""

    customers: set[str] = field(default_factory=set)
    orders: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)

    def add(self, headers: Iterable[str], role: str) -> None:
        forms = set(map(fold, headers))
        self.read |= forms
        if role == CUSTOMER:
            self.customers |= forms
        elif role == ORDER:
            self.orders |= forms

    def found(self, delimiters: tuple[str, ...], kind: str) -> RawColumns:
        return RawColumns(
            customers=frozenset(self.customers),
            orders=frozenset(self.orders),
            read=frozenset(self.read),
            delimiters=delimiters,
            kind=kind,
        )


@dataclass
class RawEraser:
    """Erases customers from the lines of one file.

    Attributes:
        subjects: Who is erased.
        columns: Headers that matter.
        changed: Records that were changed or removed so far.
        unknown: Lines with the id in a file whose header names no column of it. They stay.
        has_header: Whether the header was found.
    """

    subjects: Subjects
    columns: RawColumns
    changed: int = 0
    unknown: int = 0
    has_header: bool = False
    _delimiter: str = ","
    _header: list[str] = field(default_factory=list)

    def erase(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the lines of a file without the customers.

        Args:
            lines: All of its lines, with their line ends.
        """
        if not self.columns.customers | self.columns.orders:
            yield from lines  # nothing in it belongs to a customer
            return
        waiting: list[bytes] = []
        batch: list[list[bytes]] = []
        seen = 0
        for line in lines:
            seen += 1
            if not self.has_header:
                if seen <= HEADER_LINES and self._is_header(line):
                    self.has_header = True
                else:
                    self._count_unknown([line])
                yield line
                continue
            waiting.append(line)
            if sum(one.count(b'"') for one in waiting) % 2 and len(waiting) < QUOTED_LINES:
                continue
            batch.append(waiting)
            waiting = []
            if len(batch) >= QUOTED_LINES:
                yield from self._erase_records(batch)
                batch = []
        if waiting:
            batch.append(waiting)
        yield from self._erase_records(batch)

    def _is_header(self, line: bytes) -> bool:
        """Return whether a line names a column that matters, and keep it as the header."""
        text = line.decode("utf-8-sig", "replace")
        for delimiter in self.columns.delimiters:
            cells = [fold(cell) for cell in _cells(text, delimiter)]
            if (self.columns.customers | self.columns.orders) & set(cells):
                self._delimiter, self._header = delimiter, cells
                return True
        return False

    def _count_unknown(self, lines: list[bytes]) -> None:
        raws = pa.chunked_array([pa.array(lines, pa.binary())])
        # Numbers of orders are those of other things too.
        nobodys = replace(self.subjects, orders=self.subjects.no_orders)
        self.unknown += int(mentions(raws, nobodys).sum())

    def _erase_records(self, batch: list[list[bytes]]) -> Iterator[bytes]:
        records: list[list[bytes]] = []
        for lines in batch:
            whole = len(self._cells_of(lines)) == len(self._header)
            records += [lines] if whole else [[line] for line in lines]
        cells = [self._cells_of(lines) for lines in records]
        customers = self._found(cells, self.columns.customers, self.subjects.customers.contains)
        orders = self._found(cells, self.columns.orders, self.subjects.orders.contains)
        odd = [len(one) != len(self._header) for one in cells]
        broken = self._mentioned(records, odd)
        for at, lines in enumerate(records):
            if broken[at] or orders[at]:
                self.changed += 1
            elif customers[at]:
                self.changed += 1
                yield self._with_pseudonym(cells[at], lines)
            else:
                yield from lines

    def _found(
        self,
        records: list[list[str]],
        headers: Collection[str],
        contains: Callable[[list[str]], Mask],
    ) -> list[bool]:
        """Return the records that have one of some ids in a column of some headers."""
        places = [at for at, header in enumerate(self._header) if header in headers]
        values = [
            (row, _utf8(record[at]).strip(BLANKS))
            for row, record in enumerate(records)
            for at in places
            if at < len(record)
        ]
        found = [False] * len(records)
        if values:
            hits = contains([value for _, value in values])
            for (row, _), hit in zip(values, hits, strict=True):
                found[row] |= bool(hit)
        return found

    def _mentioned(self, records: list[list[bytes]], odd: list[bool]) -> list[bool]:
        """Return the records that cannot be cut into cells, and have an id anywhere."""
        found = [False] * len(records)
        rows = [row for row, is_odd in enumerate(odd) if is_odd]
        if rows:
            raws = pa.chunked_array([pa.array([b"".join(records[row]) for row in rows])])
            for row, hit in zip(rows, mentions(raws, self.subjects, self._delimiter), strict=True):
                found[row] = bool(hit)
        return found

    def _cells_of(self, lines: list[bytes]) -> list[str]:
        return _cells(b"".join(lines).decode(LOSSLESS), self._delimiter)

    def _with_pseudonym(self, cells: list[str], lines: list[bytes]) -> bytes:
        """Write a record with pseudonyms, and without the cells that the contract does not read."""
        written = []
        for header, cell in zip(self._header, cells, strict=True):
            if header in self.columns.customers:
                written.append(self._pseudonym(cell))
            else:
                written.append(cell if header in self.columns.read else "")
        text = io.StringIO()
        csv.writer(text, delimiter=self._delimiter, lineterminator="").writerow(written)
        last = lines[-1]
        return text.getvalue().encode(LOSSLESS) + last[len(last.rstrip(b"\r\n")) :]

    def _pseudonym(self, cell: str) -> str:
        text = _utf8(cell).strip(BLANKS)
        ids = pa.chunked_array([pa.array([text], pa.string())])
        at = int(self.subjects.customers.find(ids)[0])
        if at < 0 and self.columns.kind == "integer" and text.lstrip("+-").isdecimal():
            ids = pa.chunked_array([pa.array([str(int(text))], pa.string())])
            at = int(self.subjects.customers.find(ids)[0])
        if at < 0:
            return cell
        number, uuid, name = pseudonym_texts(self.subjects.customers.pseudonym(at))
        return {"integer": number, "uuid": uuid}.get(self.columns.kind, name)


def _utf8(cell: str) -> str:
    return cell.encode(LOSSLESS).decode("utf-8", "replace")


def _cells(text: str, delimiter: str) -> list[str]:
    try:
        found = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error:
        return []
    return found[0] if len(found) == 1 else []
