"""Errors of the worker: fields for programs, and the message that they make for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from kpi.errors import ContractError, KpiError

MAX_SOURCES_SHOWN = 10
"""Sources that a message names."""


class WorkerError(Exception):
    """Report that something outside the rows failed.

    The message is worded from the fields, as
    `option: url: problem: expected ..., got ...; hint`, without those that are not given.

    Attributes:
        exit_code: What a process that ends with the error returns.
        retryable: Whether the same call may succeed later, with nothing changed by a person.
        problem: What went wrong.
        url: Object, store or file that it is about, as a URL or a path.
        option: Option of the command line that it is about, with its dashes.
        expected: What should have been there.
        actual: What was there instead.
        hint: What a person can do about it.
    """

    exit_code: ClassVar[int] = 1
    retryable: bool = True
    problem: str = ""

    def __init__(
        self,
        problem: str = "",
        *,
        url: str | Path | None = None,
        option: str | None = None,
        expected: object = None,
        actual: object = None,
        hint: str | None = None,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(problem)
        self.problem = problem or self.problem
        self.url = None if url is None else str(url)
        self.option = option
        self.expected = expected
        self.actual = actual
        self.hint = hint
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        """Word the message."""
        clauses = (self.option, self.url, self.problem, self._comparison())
        message = ": ".join(clause for clause in clauses if clause)
        return f"{message}; {self.hint}" if self.hint else message

    def _comparison(self) -> str:
        compared = {"expected": self.expected, "got": self.actual}
        return ", ".join(f"{word} {one}" for word, one in compared.items() if one is not None)


class ConfigError(WorkerError):
    """Report wrong use or configuration: a retry cannot cure it."""

    exit_code = 2
    retryable = False


class NothingToRead(ConfigError):
    """Report a place without a file that belongs to a dataset."""


class OtherContract(ConfigError):
    """Report clean rows that another contract made, and that the ledger takes for this one's.

    Release 0.1.0 let a run with a forgotten `--contract` make them.
    """

    problem = "it was cleaned with another contract"


class InvalidSettings(ConfigError):
    """Report everything that is wrong with the settings, one problem a line."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class SourceError(WorkerError):
    """Report an object that cannot be read as its store or the ledger promised."""


class SourceMissing(SourceError):
    """Report that there is no object of a name, or no such version of it."""

    problem = "there is no such object"
    retryable = False


class SourceChanged(SourceError):
    """Report that an object was overwritten or deleted while it was being read.

    `expected` is the version that was asked for, `actual` the one that was there, if known.
    """

    problem = "it was changed or deleted while it was being read"

    def _comparison(self) -> str:
        """Leave versions out of the message: they tell a person nothing."""
        return ""


class SourcesLeft(SourceError):
    """Report sources that could not be read, after everything else was done.

    Attributes:
        errors: URL -> what is wrong with that source.
    """

    def __init__(self, errors: Mapping[str, Exception], *, of: int) -> None:
        shown = [
            describe(error) if url in describe(error) else f"{url}: {describe(error)}"
            for url, error in list(errors.items())[:MAX_SOURCES_SHOWN]
        ]
        more = len(errors) - len(shown)
        super().__init__(
            f"{len(errors)} of {of} files could not be read: {'; '.join(shown)}"
            + (f"; and {more} more" if more else ""),
            hint="all others are done; the next run tries these again",
            retryable=any(getattr(error, "retryable", True) for error in errors.values()),
        )
        self.errors = dict(errors)


class DamagedObject(SourceError):
    """Report bytes that differ from what was written."""

    retryable = False


class StoreError(WorkerError):
    """Report a ledger, KPI store or object store that refused or failed, after retries."""


class ContractChanged(WorkerError):
    """Report that another contract came into force while work under an earlier one was going on.

    Nothing was committed; the same command succeeds when it is run again.
    """

    problem = "another contract has come into force meanwhile"
    exit_code = 5


class NewerFormat(WorkerError):
    """Report a ledger whose format this release does not know: a later one has changed it.

    Nothing was written. The release that changed it can go on, or a copy from before is restored.
    """

    problem = "a later release has changed the format"
    exit_code = 5
    retryable = False


class NotYet(WorkerError):
    """Report KPI tables of an earlier format that no transform has brought to this one yet."""

    exit_code = 5


class AttentionNeeded(WorkerError):
    """Report, after everything was done, what a person has to look at."""

    exit_code = 4
    retryable = False


class StateRestored(WorkerError):
    """Report that ledger, KPI tables or workspace were put back without the others.

    Nothing was written.
    """

    exit_code = 2
    retryable = False


class HeadMoved(WorkerError):
    """Report that the ledger has got records which a commit had to know."""

    problem = "the ledger has got new records meanwhile"
    exit_code = 5


class CustomersErased(WorkerError):
    """Report that a customer was erased while work that does not know of it was going on.

    Nothing was committed; the same command succeeds when it is run again.
    """

    problem = "a customer has been erased meanwhile"
    exit_code = 5


class ObjectsCollected(WorkerError):
    """Report that clean files were deleted as unused before their entry was committed.

    Nothing was committed; the file can be validated again.
    """

    problem = "it was deleted as unused, since its entry was not committed for more than a day"


class Interrupted(WorkerError):
    """Report that a signal stopped the work: it left nothing half done and can be repeated."""


def exit_code(error: Exception) -> int:
    """Return what a process that ends with an error returns."""
    if isinstance(error, WorkerError):
        return error.exit_code
    return ConfigError.exit_code if isinstance(error, ContractError) else WorkerError.exit_code


def describe(error: Exception) -> str:
    """Word an error; one that nothing here raises on purpose with its class."""
    if isinstance(error, WorkerError | KpiError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def describe_lines(error: Exception) -> list[str]:
    """Word an error in as many lines as it reports problems; texts in them may hold line ends."""
    if isinstance(error, ContractError):
        return [error.title, *(f"  - {problem}" for problem in error.problems)]
    if isinstance(error, InvalidSettings):
        return list(error.problems)
    return [describe(error)]
