"""Summarize the rejects of a source object of a contract of language 2."""

from __future__ import annotations

from functools import partial

from kpi.contract.file_entries import DELIMITERS
from kpi.contract.model import Contract
from kpi.contract.reject_reasons import Reason
from worker.validate.reject_summary import REMEDIES, ProblemSummary, RejectSummary

_FORMS = {"time": ("dates", "the last day of 2025"), "version": ("dates", "the last day of 2025")}
_NUMBER_FORM = ("numbers", "1234.50")
_REMEDIES = {
    Reason.MISSING_VALUE: "`only` in the entry of [[files]] leaves out rows without {place}",
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
        word, example = _FORMS.get(column.stored_kind, _NUMBER_FORM)
        return f"write {example} in `{word}` of the entry of [[files]] as the file writes it"
    reason = Reason(problem.reason)
    return _REMEDIES.get(reason, REMEDIES[reason]).format(place=f"{dataset}.columns.{name}")
