"""`contract infer`: propose a contract for the files of a shop."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from kpi.contract.loading import parse_contract
from worker.cli.event_loop import run_async
from worker.cli.options import utf8_or_path
from worker.cli.sanitize import one_line
from worker.errors import ConfigError, InvalidSettings
from worker.inputs import open_inputs
from worker.jobs import is_missing, open_session

if TYPE_CHECKING:
    from kpi.inference.contract import Inferred
    from kpi.inference.questions import Question
    from worker.settings import Settings

answer_option = click.option(
    "--answer",
    "answers",
    multiple=True,
    metavar="WORD=VALUE",
    help="Answer of a question that the values of the files leave open; may be given again.",
)


@click.command(short_help="Propose a contract for files.")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=utf8_or_path)
@answer_option
def infer(inputs: tuple[str, ...], answers: tuple[str, ...]) -> None:
    """Print a contract for the files at INPUT, each line with what speaks for it.

    What the values of the files do not decide is a question: on a terminal it is asked, else it is
    listed with the option that answers it, and the exit code is 2.

    \b
    Examples:
      shopkpi contract infer downloads > shop.toml
      shopkpi contract infer downloads --answer "day=as written" > shop.toml
    """
    inferred = infer_or_ask(inputs, answers)
    click.echo(inferred.text, nl=False)
    for line in inferred.left_out:
        click.echo(one_line(f"left out, in a comment: {line}"), err=True)
    for line in inferred.remarks:
        click.echo(one_line(f"to be checked: {line}"), err=True)


def infer_or_ask(inputs: Sequence[str], answers: Sequence[str]) -> Inferred:
    """Infer a contract; ask on a terminal what is open.

    Raises:
        ConfigError: No contract can be inferred, or questions are open.
    """
    given = dict(_answer(text) for text in answers)
    while True:
        inferred = run_async(lambda: _infer(inputs, given))
        if not inferred.questions:
            return inferred
        if not is_terminal():
            raise OpenQuestionsError(inferred.questions)
        for question in inferred.questions:
            given[question.word] = _prompt(question)


class OpenQuestionsError(InvalidSettings):
    """Report the questions that the values of files leave open, with the options that answer."""

    def __init__(self, questions: Sequence[Question]) -> None:
        super().__init__([_describe(one) for one in questions])
        self.questions = tuple(questions)


def is_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask_until_answered(run: Callable[[Sequence[str]], None], answers: Sequence[str]) -> None:
    """Run what may leave questions open; on a terminal ask them, and run it again.

    Args:
        run: Takes answers as `WORD=VALUE`.
        answers: Given so far.

    Raises:
        OpenQuestionsError: Nobody can be asked.
    """
    given = list(answers)
    while True:
        try:
            return run(given)
        except OpenQuestionsError as error:
            if not is_terminal():
                raise
            given += [f"{one.word}={_prompt(one)}" for one in error.questions]


async def infer_settings(
    inputs: Sequence[str], answers: Sequence[str], settings: Settings
) -> tuple[Settings, str | None]:
    """Take the contract in force, else infer one: (settings, its text where it was inferred).

    Raises:
        ConfigError: A contract is named, none can be inferred, or questions are open.
    """
    if settings.contract_name is not None:
        raise ConfigError(
            option="--infer",
            expected="no contract beside it",
            actual=f"--contract {settings.contract_name}",
        )
    if not is_missing(settings):
        async with open_session(settings, read_only=True) as session:
            if session.adoption is not None:
                return settings, None
    given = dict(_answer(text) for text in answers)
    inferred = await _infer(inputs, given)
    if inferred.questions:
        raise OpenQuestionsError(inferred.questions)
    contract = parse_contract(inferred.text, source="the inferred contract")
    return replace(settings, contract=contract, contract_name="inferred"), inferred.text


async def _infer(inputs: Sequence[str], given: dict[str, str]) -> Inferred:
    from worker.infer.task import infer as infer_inputs

    async with open_inputs(inputs) as places:
        return await infer_inputs(places, given)


def _answer(text: str) -> tuple[str, str]:
    word, sign, value = text.partition("=")
    if not sign or not word:
        raise ConfigError(option="--answer", expected="WORD=VALUE", actual=text)
    return word.strip(), value.strip()


def _describe(question: Question) -> str:
    """Word a question with the options that answer it."""
    options = "; ".join(
        f'--answer "{question.word}={value}"{f" ({meaning})" if meaning else ""}'
        for value, meaning in question.answers.items()
    )
    return one_line(f"{question.text}: {options}")


def _prompt(question: Question) -> str:
    """Ask one question on the terminal."""
    values = list(question.answers)
    click.echo(one_line(question.text), err=True)
    for number, (value, meaning) in enumerate(question.answers.items(), start=1):
        click.echo(one_line(f"  {number}  {value}  {meaning}"), err=True)
    chosen: int = click.prompt("Number", type=click.IntRange(1, len(values)), err=True)
    return values[chosen - 1]
