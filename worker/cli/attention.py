"""`--fail-on`: which results of a run need a person, so that its exit code is 4."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from worker.cli.render import short_name
from worker.config_file import NAME
from worker.errors import AttentionNeeded, describe
from worker.runtime.wording import counted

if TYPE_CHECKING:
    from worker.cli.run_output import RunResult
    from worker.jobs import Validated
    from worker.state import Entry

MAX_FILES_NAMED = 5
"""Files that a message names."""

_CONDITION = re.compile(r"(refused|waiting|rollback)|(rejects)(?:\s*>\s*(\d*\.?\d+)(\s*%)?)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One result that needs a person.

    Attributes:
        kind: `refused`, `rejects`, `waiting` or `rollback`.
        rate: Part of a file's rows above which its rejects count.
    """

    kind: str
    rate: float = 0.0

    def __str__(self) -> str:
        """Write the condition as the option takes it."""
        return f"{self.kind}>{self.rate:.6g}" if self.rate else self.kind


def parse_conditions(
    context: click.Context, option: click.Parameter, value: Sequence[str]
) -> tuple[Condition, ...]:
    """Read the texts of `--fail-on`, each with commas between conditions; a click callback.

    Raises:
        click.BadParameter: One is none.
    """
    texts = [text.strip() for one in value for text in one.split(",") if text.strip()]
    conditions = []
    for text in texts:
        found = _CONDITION.fullmatch(text)
        if found is None:
            problem = f"expected refused, rejects, rejects>RATE, waiting or rollback, got {text!r}"
            raise _bad_parameter(problem, context, option)
        kind, rejects, rate, percent = found.groups()
        part = float(rate or 0) / (100 if percent else 1)
        if part > 1:
            problem = f"expected a part of 1 or a percentage, got {text!r}"
            raise _bad_parameter(problem, context, option)
        conditions.append(Condition(kind=kind or rejects, rate=part))
    return tuple(conditions)


def _bad_parameter(
    problem: str, context: click.Context, option: click.Parameter
) -> click.BadParameter:
    """Build an error that names where the value is from; click names the variable in any case."""
    places = {
        ParameterSource.DEFAULT_MAP: f"{option.name} in {NAME}",
        ParameterSource.ENVIRONMENT: str(option.envvar),
    }
    source = context.get_parameter_source(str(option.name))
    place = places.get(source, option.opts[0]) if source is not None else option.opts[0]
    return click.BadParameter(problem, context, option, param_hint=f"'{place}'")


def check_all_refused(validated: Validated) -> list[str]:
    """Word that every file of a run was refused; empty where one was not."""
    entries = validated.entries
    others = validated.left or validated.known
    if not entries or others or any(one.verdict != "refused" for one in entries):
        return []
    number = f"all {len(entries):,} files were" if len(entries) > 1 else "the only file was"
    return [f"{number} refused: {_names(entries)}"]


def check_attention(conditions: Sequence[Condition], result: RunResult) -> None:
    """Raise an error where a result needs a person.

    Raises:
        AttentionNeeded: With every such result, and what could not be read.
    """
    problems = check_all_refused(result.validated)
    for condition in conditions:
        problem = _CHECKS[condition.kind](condition, result)
        if problem and not (problems and condition.kind == "refused"):
            problems.append(problem)
    if problems:
        problems += [describe(error) for error in result.validated.left.values()]
        raise AttentionNeeded("; ".join(problems), hint="`shopkpi ledger` has the receipts")


def _check_refused(_condition: Condition, result: RunResult) -> str:
    refused = [one for one in result.validated.new_entries if one.verdict == "refused"]
    return (
        f"{counted(len(refused), 'file was', 'files were')} refused: {_names(refused)}"
        if refused
        else ""
    )


def _check_rejects(condition: Condition, result: RunResult) -> str:
    above = [
        one
        for one in result.validated.new_entries
        if one.verdict == "accepted" and one.rows_rejected > condition.rate * one.rows_read
    ]
    if not above:
        return ""
    rejected = sum(one.rows_rejected for one in above)
    limit = f" more than {condition.rate:.4g} of the rows" if condition.rate else ""
    files = counted(len(above), "file has", "files have")
    return f"{files}{limit} rejected ({counted(rejected, 'row')}): {_names(above)}"


def _check_waiting(_condition: Condition, result: RunResult) -> str:
    waiting = sum(result.report.waiting.values())
    return (
        counted(waiting, "item waits for its order", "items wait for their order")
        if waiting
        else ""
    )


def _check_rollback(_condition: Condition, result: RunResult) -> str:
    found = result.report.rollbacks
    if not found:
        return ""
    named = [short_name(one.url) for one in found[:MAX_FILES_NAMED]]
    more = f" and {len(found) - len(named):,} more" if len(found) > len(named) else ""
    rows = sum(one.rows for one in found)
    return f"{counted(rows, 'row')} replaced newer ones of other files: {', '.join(named)}{more}"


_CHECKS = {
    "refused": _check_refused,
    "rejects": _check_rejects,
    "waiting": _check_waiting,
    "rollback": _check_rollback,
}


def _names(entries: Sequence[Entry]) -> str:
    named = [short_name(entry.url) for entry in entries[:MAX_FILES_NAMED]]
    more = len(entries) - len(named)
    return ", ".join(named) + (f" and {more:,} more" if more else "")
