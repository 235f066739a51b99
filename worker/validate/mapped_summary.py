"""Summarize the rejects of a source object of a contract of language 2."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial

from kpi.contract.file_entries import DELIMITERS
from kpi.contract.model import Contract
from kpi.contract.reject_reasons import Reason
from worker.validate.reject_summary import REMEDIES, ProblemSummary, RejectSummary

_TIMES = ("time", "version")

GROUP_DIGITS = 3
"""Digits behind a mark that may stand between thousands as well as before decimals."""

_NUMBER_SHAPE = re.compile(r"-?(?P<whole>9[9.,' ]*?)(?:(?P<mark>[.,' ])(?P<end>9+))?")
_REMEDIES = {
    Reason.MISSING_VALUE: "`only` in the entry of [[files]] leaves out rows without {place}, "
    "and `merged` there takes blank cells from the row above",
    Reason.OUT_OF_RANGE: "check `not_before` and `not_after` in the contract, and {place}",
    Reason.TOO_LONG: "shorten the texts of {place}",
    Reason.UNDECODABLE: "name the `encoding` in the entry of [[files]]",
}
"""Reason -> what a person can do about it, where language 1 says something else."""


def mapped_summary(contract: Contract) -> RejectSummary:
    """Begin the summary of an object; the mapper samples values of every format."""
    return RejectSummary({}, DELIMITERS, partial(_remedy, contract))


def _remedy(contract: Contract, problem: ProblemSummary) -> str:
    # In an archive the file's name stands before the column.
    dataset, _, name = problem.column.rpartition(": ")[2].partition(".")
    if problem.reason == Reason.WRONG_TYPE and contract.shop is not None:
        column = contract.shop.all_datasets[dataset].columns[name]
        if column.stored_kind in _TIMES:
            return (
                "write the last day of 2025 in `dates` of the entry of [[files]] as the file "
                "writes it"
            )
        return _number_remedy(problem.shapes)
    reason = Reason(problem.reason)
    return _REMEDIES.get(reason, REMEDIES[reason]).format(place=f"{dataset}.columns.{name}")


def _number_remedy(shapes: Iterable[str]) -> str:
    """Tell how 1234.5 stands in a file that has numbers of some shapes."""
    forms = sorted(filter(None, map(_form_of, shapes)), key=len)
    if not forms:
        return "write 1234.5 in `numbers` of the entry of [[files]] as the file writes it"
    return f'write `numbers = "{forms[-1]}"` in the entry of [[files]]: so the file has 1234.5'


def _form_of(shape: str) -> str | None:
    """Write 1234.5 as a shape such as `9.999,99` has it; None where the shape does not tell."""
    found = _NUMBER_SHAPE.fullmatch(shape)
    if found is None:
        return None
    marks = re.sub("9", "", found["whole"]) + (found["mark"] or "")
    if len(set(marks)) == 2 and marks.count(marks[-1]) == 1:
        return f"1{marks[0]}234{marks[-1]}50"
    if len(marks) == 1 and len(found["end"]) != GROUP_DIGITS:
        return f"1234{marks}50"
    return None
