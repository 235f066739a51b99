"""Read `[[files]]` of contract language 2, and its conditions."""

from __future__ import annotations

import codecs
from typing import get_args

from kpi.contract.conditions import Condition, Conditions, Patterns
from kpi.contract.forms import DateForm, NumberForm
from kpi.contract.model import header_form
from kpi.contract.month_names import AmbiguousNameError
from kpi.contract.shop import FileLayout, FilePattern, Replaces
from kpi.contract.toml_reader import Reader

DELIMITERS = ",;\t|"
"""Delimiters that are recognised by themselves."""


def read_file_entry(table: Reader) -> FileLayout:
    """Read one entry; problems are added to the reader's list."""
    pattern = FilePattern(text=table.text("match", ""))
    if not pattern.text:
        table.problem("match", "a pattern of file names such as orders*.csv", pattern.text)
    if len(set(pattern.names)) < len(pattern.names):
        table.problem("match", "each {name} once", pattern.text)
    encoding = table.text("encoding", "") or None
    if encoding is not None and not _is_encoding(encoding):
        table.problem("encoding", "an encoding of text such as cp1252", encoding)
    delimiter = table.text("delimiter", "") or None
    if delimiter is not None and (
        len(delimiter) != 1 or delimiter in '"\r\n\0' or delimiter.isalnum()
    ):
        table.problem(
            "delimiter", "one character, not a letter, digit, quote or line end", delimiter
        )
    quote, escape = table.text("quote", '"'), table.text("escape", "")
    if quote not in ("", '"'):
        table.problem("quote", 'a double quote, or "" where quotes are plain characters', quote)
    if escape not in ("", "\\"):
        table.problem("escape", "a backslash", escape)
    only = table.table("only")
    layout = FileLayout(
        match=pattern,
        feeds=table.texts("feeds", ()),
        columns=table.texts("columns", ()),
        delimiter=delimiter,
        quote=quote,
        escape=escape,
        encoding=encoding,
        numbers=_numbers(table),
        dates=_dates(table),
        minor_units=table.boolean("minor_units", default=False),
        blanks=tuple(map(header_form, table.texts("blanks", ()))),
        replaces=table.choice("replaces", get_args(Replaces), "rows"),
        begins=table.text("begins", "") or None,
        fill=table.text("fill", "") or None,
        merged=table.texts("merged", ()),
        each=table.text("each", "") or None,
        known_by=table.texts("known_by", ()),
        only={name: read_conditions(only, name) for name in only.names()},
    )
    if not layout.feeds and not table.has("feeds"):
        table.problem("feeds", "a list of datasets or references; [] for files not needed", None)
    for name in layout.only:
        if name not in layout.feeds:
            only.problem(
                name, f"one of the datasets that the file feeds, {list(layout.feeds)}", name
            )
    only.finish()
    table.finish()
    _check_entry(table, layout)
    return layout


def _check_entry(table: Reader, layout: FileLayout) -> None:
    """Find what no file could have: a header twice, a column or a list without a name."""
    forms = [header_form(header) for header in layout.columns]
    twice = next((one for one in layout.columns if forms.count(header_form(one)) > 1), None)
    if twice is not None:
        table.problem("columns", "each header once", twice)
    if len(set(layout.feeds)) < len(layout.feeds):
        table.problem("feeds", "each dataset once", list(layout.feeds))
    if layout.fill is not None and forms and header_form(layout.fill) not in forms:
        table.problem("fill", "one of `columns`", layout.fill)
    unknown = [one for one in layout.merged if forms and header_form(one) not in forms]
    if unknown:
        table.problem("merged", "headers of `columns`", unknown[0])
    if layout.each is not None and not all(layout.each.split(".")):
        table.problem("each", "a path of names such as orders.lines", layout.each)


def _is_encoding(name: str) -> bool:
    try:
        return bool(codecs.lookup(name)._is_text_encoding)
    except LookupError:
        return False


def _numbers(table: Reader) -> NumberForm:
    example = table.text("numbers", "1234.50")
    form = NumberForm.of_example(example)
    if form is None:
        table.problem("numbers", "1234.5 as the file writes it, such as 1.234,50", example)
    return form or NumberForm()


def _dates(table: Reader) -> tuple[DateForm, ...]:
    forms = []
    for example in table.texts("dates", ("iso",)):
        expected = "the last day of 2025 as the file writes it, such as 31.12.2025 23:59"
        try:
            form = DateForm.of_example(example)
        except AmbiguousNameError as error:
            form, expected = None, f"December as one language alone writes it; this is of {error}"
        if form is None:
            table.problem("dates", expected, example)
        else:
            forms.append(form)
    return tuple(forms)


def read_conditions(table: Reader, key: str) -> Conditions:
    """Read one condition or a list of them."""
    value = table.value(key)
    one_of = value if isinstance(value, list) else [value]
    found = []
    for one in one_of:
        condition = read_condition(one)
        if condition is None:
            table.problem(key, 'a condition such as { status = ["cancelled", "failed"] }', value)
            return ()
        found.append(condition)
    return tuple(found)


def read_condition(value: object) -> Condition | None:
    """Read one condition; None where it is none."""
    if not isinstance(value, dict) or not value:
        return None
    condition: dict[str, Patterns] = {}
    for column, texts in value.items():
        listed = texts if isinstance(texts, list) else [texts]
        if not listed or not all(isinstance(text, str) for text in listed):
            return None
        condition[column] = Patterns(tuple(listed))
    return condition
