"""Infer the contract of a shop from samples of its files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kpi.inference.charges import choose_charges
from kpi.inference.dataset_blocks import DatasetBlocks
from kpi.inference.date_mistakes import describe_mistakes
from kpi.inference.decisions import Decisions
from kpi.inference.draft import Block, left_open, write
from kpi.inference.file_blocks import FileBlocks
from kpi.inference.looked_up_status import look_statuses_up
from kpi.inference.merged_cells import with_merged_cells
from kpi.inference.money import find_money
from kpi.inference.money_evidence import Way
from kpi.inference.named_days import ask_about_named_day
from kpi.inference.net_lines import ask_about_net_lines
from kpi.inference.number_forms import mixed_forms
from kpi.inference.offsets import choose_day
from kpi.inference.open_columns import OpenColumns
from kpi.inference.questions import Answers, NotInferableError, Question
from kpi.inference.reading_plan import ReadingPlan
from kpi.inference.repeated_lines import choose_lines
from kpi.inference.returns import Returns
from kpi.inference.samples import TableSample
from kpi.inference.side_tables import customer_beside, find_joins
from kpi.inference.structure import Structure, find_structure
from kpi.inference.tables import Table, find_references, make_tables
from kpi.inference.trial import try_contract
from kpi.inference.unclear_files import ask_about_cents, ask_about_places
from kpi.inference.unnamed_columns import product_by_values
from kpi.inference.unread_tables import unread_tables

MISFIT_SHARE = 0.2
"""Records of another width than the header's that make a table unreadable."""

NAMED_FILES = 5
"""Files that a message names."""


@dataclass(frozen=True)
class Inferred:
    """What was inferred.

    Attributes:
        text: The contract; while questions are open, by the likeliest answers.
        questions: Those that are open.
        left_out: What the contract has in comments alone, and what it would change.
        remarks: What somebody should know of it besides.
    """

    text: str
    questions: tuple[Question, ...]
    left_out: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def infer_contract(
    samples: Sequence[TableSample], given: Mapping[str, str], name: str = "inferred"
) -> Inferred:
    """Infer a contract of language 2.

    Args:
        samples: Of all files; those of one layout are one sample.
        given: Answers, by the word of their question.
        name: Of the contract.

    Raises:
        NotInferableError: The files are no shop's, or an answer fits no question.
    """
    return _Inference(samples, Answers(given), name).run()


class _Inference:
    """State of one inference."""

    def __init__(self, samples: Sequence[TableSample], answers: Answers, name: str) -> None:
        self._answers = answers
        self._name = name
        self._samples = list(samples)
        self._unreadable = [
            one for one in samples if one.misfits > MISFIT_SHARE * max(one.rows_total, 1)
        ]
        readable = [one for one in samples if one not in self._unreadable and one.rows]
        self._tables = [with_merged_cells(one) for one in make_tables(readable)]
        self._plan = ReadingPlan(self._tables)
        self._remarks: list[str] = []

    def run(self) -> Inferred:
        references = find_references(self._tables)
        structure = find_structure(self._tables, references)
        if structure is None:
            lists = [_unread_lists(one) for one in self._samples if one.unread]
            raise NotInferableError("; ".join([self._nothing_found(), *lists]))
        decisions = Decisions(self._tables, self._answers)
        structure = decisions.choose_date(decisions.order_dates(structure))
        ask_about_named_day(structure, self._tables, self._answers)
        open_columns = OpenColumns(self._tables, self._answers)
        structure = open_columns.choose_customer(structure, references)
        structure = replace(structure, product=product_by_values(structure))
        structure = open_columns.choose_quantity(structure)
        structure = decisions.choose_returns(structure)
        structure = look_statuses_up(structure, self._tables)
        joins = find_joins(structure, self._tables)
        if self._answers.value("customer") is None and not self._answers.has_open("customer"):
            structure = replace(structure, customer_beside=customer_beside(structure, joins))
        structure = Returns(self._tables, self._answers).choose(structure, joins)
        charges = choose_charges(structure, self._tables, self._answers)
        if charges is not None:
            structure = replace(structure, goods=charges.condition)
        _refuse_mixed_numbers([structure.orders, structure.lines])
        money = find_money(structure, self._tables)
        if money.way is None and self._unreadable:
            raise NotInferableError(_misfit(self._unreadable[0]))
        way = decisions.choose_money(money, structure)
        structure = choose_lines(structure, way, self._tables, self._answers)
        ask_about_net_lines(way, structure, self._tables, self._answers)
        top = self._top(structure)
        datasets = DatasetBlocks(
            structure, money, self._tables, references, self._plan, self._answers
        )
        if _is_without_items(structure, way):
            blocks = datasets.orders(top, way)
        else:
            blocks = [*datasets.orders(top, None), *datasets.items(way), *datasets.products(way)]
        blocks += datasets.refunds(way)
        blocks += self._plan.reference_blocks()
        in_cents = ask_about_cents(way, top.value_of("currency"), self._tables, self._answers)
        if in_cents is not None:
            self._plan.minor.add(in_cents)
        ask_about_places(structure, self._answers)
        files = FileBlocks(structure, self._tables, self._plan, self._answers)
        blocks = [*files.blocks(self._others()), *blocks]
        self._remarks += map(_unread_lists, (one for one in self._samples if one.unread))
        self._remarks += unread_tables(structure, self._tables, self._plan.feeds, joins, references)
        self._answers.check()
        questions = tuple(self._answers.open)
        if not questions:
            top.notes += try_contract(write([top, *blocks]), [one.sample for one in self._tables])
        return Inferred(write([top, *blocks]), questions, left_open(blocks), tuple(self._remarks))

    def _others(self) -> Iterator[tuple[TableSample, str]]:
        """Yield the samples of which the contract reads nothing, and why."""
        read = {id(one.sample) for one in self._tables if one.number in self._plan.feeds}
        for sample in self._samples:
            # A sheet or member that no entry names is not read.
            if id(sample) in read or "/" in sample.match:
                continue
            if sample in self._unreadable:
                yield sample, f"it cannot be read: {_misfit(sample)}"
            else:
                yield sample, "nothing of it is needed"

    def _nothing_found(self) -> str:
        if self._unreadable:
            return _misfit(self._unreadable[0])
        if not self._tables:
            return "expected files with rows, got none"
        if not any(one.kind == "date" for table in self._tables for one in table.columns):
            found = describe_mistakes(self._tables) or (
                f"no dates in any file{_dates_in_names(self._tables)}"
            )
            return f"expected a column with the days of orders, got {found}"
        names = ", ".join(table.sample.name for table in self._tables[:NAMED_FILES])
        return (
            "expected a table of orders, with an identifier and a date on each row, got none "
            f"in {names}: no column is known as an order's identifier beside a date"
        )

    def _top(self, structure: Structure) -> Block:
        sizes = ", ".join(
            f"{one.name} ({one.rows_total or one.rows} rows{'' if one.whole else ' read'})"
            for one in self._samples
        )
        top = Block(
            "",
            notes=[
                f"Inferred from {sizes}.",
                "Each line says what speaks for it. Check them, then run with --contract.",
            ],
        )
        top.add("language", 2)
        top.add("name", self._name)
        day = choose_day(structure, self._tables, self._answers)
        top.add("day", day.value, day.note)
        if day.is_doubtful:
            self._remarks.append(f'day = "{day.value}": {day.note}')
        return top


def _refuse_mixed_numbers(tables: Iterable[Table]) -> None:
    """Refuse amounts that no form reads: which of them are right, nothing tells."""
    for table in tables:
        for column in table.columns:
            mixed = mixed_forms(column)
            if mixed is not None:
                raise NotInferableError(
                    f"{table.sample.name}: expected one form of numbers in "
                    f"{column.header.strip()!r}, got {mixed[0]} and {mixed[1]}"
                )


def _dates_in_names(tables: Sequence[Table]) -> str:
    """Tell the words that take the days from the names of files, where these have dates."""
    for table in tables:
        name = table.sample.name.rpartition("/")[2]
        pattern, count = re.subn(r"\d{4}-\d{2}-\d{2}", "{date}", name, count=1)
        if count:
            return (
                "; the names of files have some, which a contract takes with "
                f'match = "{pattern}" and created_at = "{{date}}"'
            )
    return ""


def _unread_lists(sample: TableSample) -> str:
    """Say which lists of a file of JSON are not read."""
    each = sample.words.get("each")
    names = ", ".join(sample.unread)
    return (
        f"{sample.name}: {names} is not read, as a file of JSON is read for one list"
        f"{f' ({each})' if each else ''}; write a list that is needed to a file of its own"
    )


def _misfit(sample: TableSample) -> str:
    fields, width = sample.misfit_example
    hint = ""
    if sample.words.get("delimiter", ",") == "," and fields > width:
        hint = "; if decimal commas stand there without quotes, nothing can tell them apart"
    return (
        f"{sample.name}: expected records of {width} fields, as the header has, got "
        f"{sample.misfits} of {sample.rows_total} with others, such as {fields}{hint}"
    )


def _is_without_items(structure: Structure, way: Way | None) -> bool:
    """Whether there are orders with totals alone."""
    return (
        structure.is_flat
        and structure.order_id.is_key
        and structure.quantity is None
        and structure.product is None
        and structure.category is None
        and (way is None or [role for role, _ in way.roles] == ["after_discount"])
    )
