"""Errors of the domain. Bad rows are data and bad files are verdicts; neither is an exception."""


class KpiError(Exception):
    """The domain cannot go on: the message says what, where, what was expected and what came."""


class ContractError(KpiError):
    """A contract is not usable; `problems` lists everything that is wrong with it."""

    def __init__(self, source: str, problems: list[str]) -> None:
        self.source = source
        self.problems = problems
        self.title = f"contract {source} is not usable:"
        super().__init__("\n".join([self.title, *(f"  - {problem}" for problem in problems)]))


class BalanceError(KpiError):
    """Rows read differ from rows clean plus rows rejected: a bug, never a verdict."""
