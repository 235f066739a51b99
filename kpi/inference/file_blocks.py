"""Entries of [[files]]: how each table is written, by what is read of it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from kpi.inference.draft import Block, Word
from kpi.inference.evidence import place_of
from kpi.inference.questions import Answers, NotInferableError, Question
from kpi.inference.reading_plan import ReadingPlan
from kpi.inference.roles import is_money
from kpi.inference.samples import TableSample
from kpi.inference.structure import Structure
from kpi.inference.tables import Table
from kpi.inference.values import Column

DEFAULT_NUMBERS = "1234.50"

FOOTER_ROWS = 3
"""Rows of totals below a report at most."""


class FileBlocks:
    """Writes the entries of [[files]]."""

    def __init__(
        self, structure: Structure, tables: Sequence[Table], plan: ReadingPlan, answers: Answers
    ) -> None:
        self._structure = structure
        self._tables = tables
        self._plan = plan
        self._answers = answers

    def blocks(self, others: Iterable[tuple[TableSample, str]]) -> list[Block]:
        """Write an entry for each table that is read, and for each sample that is not, and why."""
        fed = [
            block
            for table in self._tables
            if table.number in self._plan.feeds
            for block in self._entries(table)
        ]
        blocks = [*fed, *(_passed_over(one, why) for one, why in others)]
        # The first entry that matches a file counts: the pattern that says most comes first.
        if any("*" in str(block.words[0].value) for block in blocks):
            blocks.sort(key=lambda one: -len(str(one.words[0].value).replace("*", "")))
        return blocks

    def _entries(self, table: Table) -> list[Block]:
        """Write an entry, and one like it for each further pattern."""
        first = self._file(table)
        more = []
        if first.words[0].value == table.pattern:
            return [first]
        for match in table.sample.also:
            words = [Word("match", match, "the same header"), *first.words[1:]]
            more.append(Block(first.head, words))
        return [first, *more]

    def _file(self, table: Table) -> Block:
        block = Block("[[files]]")
        sample = table.sample
        names = f", {len(sample.parts)} files" if len(sample.parts) > 1 else ""
        read = {id(one): one for one in self._plan.columns.get(table.number, ())}.values()
        match = table.pattern if any(one.is_of_name for one in read) else sample.match
        block.add("match", match, f"{sample.rows_total or sample.rows} rows{names}{_why(match)}")
        block.add("feeds", self._plan.feeds[table.number])
        for name, value in sample.words.items():
            block.add(name, value)
        self._add_numbers(block, read, table)
        self._add_dates(block, read)
        if table.number in self._plan.minor:
            block.add(
                "minor_units", True, "all amounts are whole; the header, or an answer, says so"
            )
        blanks = sorted({word for one in read for word in one.blanks})
        if blanks:
            rows = sum(
                1
                for one in read
                if one.blanks
                for cell in sample.columns[one.index]
                if cell in one.blanks
            )
            block.add("blanks", blanks, f"in {rows} cells")
        for dataset, (condition, note) in self._only(table).items():
            block.add(f"only.{dataset}", condition, note)
        if table.merged:
            note = "the rows below an order's first have none and go on with it"
            block.add("merged", list(table.merged), note)
        fill = self._fill(table)
        if fill:
            block.add("fill", fill, "an order's first row alone has what belongs to the order")
        return block

    def _add_numbers(self, block: Block, read: Iterable[Column], table: Table) -> None:
        numeric = [
            one for one in read if one.number_forms and not one.meaning.has("id") and one.is_number
        ]
        forms = list(_common_forms(numeric))
        if numeric and not forms:
            names = ", ".join(one.header for one in numeric)
            raise NotInferableError(f"expected one form of numbers, got several in {names}")
        if not forms:
            return
        chosen = forms[0]
        for mark, (decimal, grouped) in _READINGS.items():
            marked = [one for one in numeric if mark in _digits(one)]
            if not marked or not all(_is_unclear(one, mark) for one in marked):
                continue
            if form := _form_elsewhere(table, mark):
                chosen = form
                continue
            name = "point" if mark == "." else "comma"
            answer = self._answers.ask(
                Question(
                    word="numbers",
                    text=f"{place_of(marked[0], self._tables)} has numbers such as "
                    f"{next(one for one in marked[0].distinct if mark in one)}: "
                    f"is the {name} a decimal {name}?",
                    answers={decimal: "yes", grouped: "no, it stands between thousands"},
                )
            )
            chosen = answer or chosen
        if chosen != DEFAULT_NUMBERS:
            block.add("numbers", chosen, "all numbers that are read fit this form")

    def _add_dates(self, block: Block, read: Iterable[Column]) -> None:
        examples: dict[str, None] = {}
        for column in read:
            value = self._structure.date.value
            dates = (
                value.dates
                if value.index == column.index and value.table == column.table
                else column.dates
            )
            if column.kind == "date" and dates is not None:
                examples |= dict.fromkeys(dates.examples)
        if examples and set(examples) != {"iso"}:
            block.add("dates", list(examples))

    def _only(self, table: Table) -> dict[str, tuple[dict[str, object], str]]:
        """Say which rows of a table are rows of which dataset: dataset -> condition and note."""
        found: dict[str, tuple[dict[str, object], str]] = {
            one: (condition, note) for one, condition, note in self._without_footer(table)
        }
        if table.sample.only:
            note = "other rows are totals of those above"
            for one in self._plan.feeds[table.number]:
                found.setdefault(one, (dict(table.sample.only), note))
        if table.number in self._plan.only:
            condition, why = self._plan.only[table.number]
            found |= dict.fromkeys(self._plan.feeds[table.number], (condition, why))
        if self._structure.goods and table is self._structure.lines:
            condition, note = found.get("order_items", ({}, ""))
            note = "; ".join(filter(None, (note, "other rows are shipping and fees")))
            found["order_items"] = ({**condition, **self._structure.goods}, note)
        returns = self._structure.returns
        if returns is None or table is not self._structure.orders:
            return found
        header, refunds = returns.header.strip(), self._structure.are_refunds
        for dataset in ("orders", "order_items") if refunds else ("orders",):
            condition, note = found.get(dataset, ({}, ""))
            note = "; ".join(filter(None, (note, "the day of an order is that of its sale")))
            found[dataset] = ({**condition, header: "!<0"}, note)
        if refunds:
            found["refunds"] = ({header: "<0"}, "rows of returns")
        return found

    def _without_footer(self, table: Table) -> list[tuple[str, dict[str, object], str]]:
        """Leave the last rows out where they have no date, as totals below a report."""
        date = self._structure.date.column
        if table is not self._structure.orders or date.table != table.number:
            return []
        cells = date.cells
        footer = next((at for at, cell in enumerate(reversed(cells)) if cell), 0)
        blank = sum(not cell for cell in cells)
        if not footer or blank != footer or footer > FOOTER_ROWS:
            return []
        note = f"the last {footer} rows have no date"
        feeds = [one for one in self._plan.feeds[table.number] if one in ("orders", "order_items")]
        return [(one, {date.header.strip(): "*"}, note) for one in feeds]

    def _fill(self, table: Table) -> str | None:
        """Name the order's column where only its first row has what belongs to it."""
        structure = self._structure
        if not structure.is_flat or table is not structure.orders or structure.order_id.joined:
            return None
        keys = structure.order_id.cells
        firsts = [at for at, key in enumerate(keys) if at == 0 or keys[at - 1] != key]
        if len(firsts) == len(keys) or len(firsts) != len(structure.order_id.distinct):
            return None
        for column in (structure.status, structure.date.column, structure.customer):
            if column is None or column.fill_share > 0.98:
                continue
            at_first = sum(bool(column.cells[at]) for at in firsts)
            if at_first > 0.9 * len(firsts) and at_first > 0.9 * column.filled:
                return structure.order_id.header.strip()
        return None


def _why(match: str) -> str:
    """Say of a pattern which later files it takes, and of a name that it takes no other."""
    if "*" in match or "{" in match:
        return "; * is any text, so later files of such names match too"
    return "; a file of another name does not match: write * where names differ"


def _passed_over(sample: TableSample, why: str) -> Block:
    block = Block("[[files]]")
    block.add("match", sample.match, why)
    block.add("feeds", [])
    return block


def _common_forms(columns: Sequence[Column]) -> list[str]:
    """List the forms of numbers that fit all of some columns, affixes included."""
    if not columns:
        return []
    # A column without marks fits all forms, and says nothing of which comes first.
    told = [one for one in columns if re.search(r"\d[.,' ]", _digits(one))] or columns
    found = sorted(
        told[0].number_forms,
        key=lambda form: sum(_rank(one, form) for one in told),
    )
    affixed = max((one.number_forms[0] for one in columns), key=len)
    bare = [{_bare(form) for form in one.number_forms} for one in columns]
    common = [form for form in found if all(_bare(form) in one for one in bare)]
    prefix, suffix = re.split(r"1\D?234\D50", affixed)
    return [f"{prefix}{_bare(form)}{suffix}" for form in common]


def _rank(column: Column, form: str) -> int:
    """Place of a form among those of a column, the likeliest first."""
    forms = [_bare(one) for one in column.number_forms]
    return forms.index(_bare(form)) if _bare(form) in forms else len(forms)


def _bare(form: str) -> str:
    found = re.search(r"1\D?234\D50", form)
    return found[0] if found else form


def _digits(column: Column) -> str:
    return "".join(column.distinct)


def _is_east_asian(header: str) -> bool:
    names = (unicodedata.name(one, "") for one in header)
    return any(one.startswith(("CJK UNIFIED", "HIRAGANA", "KATAKANA", "HANGUL")) for one in names)


def _form_elsewhere(table: Table, mark: str) -> str | None:
    """Find what a mark is in another column of money of the same table: one file has one form."""
    decimal, grouped = _READINGS[mark]
    if any(map(_is_east_asian, table.sample.headers)):
        # Of the locales of Unicode's CLDR, those of Chinese, Japanese and Korean write a point.
        return decimal if mark == "." else grouped
    found = {
        _bare(one.number_forms[0])
        for one in table.columns
        if one.is_number
        and one.number_forms
        and is_money(one)
        and mark in _digits(one)
        and not _is_unclear(one, mark)
    }
    forms = found & {decimal, grouped}
    return next(iter(forms)) if len(forms) == 1 else None


_READINGS = {".": ("1234.50", "1.234,50"), ",": ("1234,50", "1,234.50")}
"""Mark -> form by which it stands before decimals, and form by which it groups."""


def _is_unclear(column: Column, mark: str) -> bool:
    """Whether a mark may stand before decimals as well as between thousands."""
    decimal, grouped = _READINGS[mark]
    forms = [_bare(form) for form in column.number_forms]
    if decimal not in forms or grouped not in forms or forms[0] == grouped:
        return False
    marked = [one for one in column.distinct if mark in one]
    return bool(marked) and all(
        re.search(rf"(^|\D)[1-9]\d{{0,2}}[{mark}]\d{{3}}(\D|$)", one) for one in marked
    )
