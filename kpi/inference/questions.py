"""Questions that the values of files do not answer, and the answers that were given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from kpi.errors import KpiError

WORDS = (
    *("category", "charges", "currency", "customer", "date", "dates", "day", "excluded"),
    *("lines", "minor_units", "money", "numbers", "order_discount", "places", "quantity"),
    *("rate", "repeats", "returned", "returns", "tax"),
)
"""Words of all questions."""


class NotInferableError(KpiError):
    """No contract can be inferred from the files; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question, and the answers to choose from.

    Attributes:
        word: Of the option that answers it.
        text: The question.
        answers: Value -> what it means.
    """

    word: str
    text: str
    answers: Mapping[str, str]


@dataclass
class Answers:
    """Answers that were given, and questions that are open.

    Attributes:
        given: Word -> value.
        open: Questions without an answer.
    """

    given: Mapping[str, str] = field(default_factory=dict)
    open: list[Question] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def ask(self, question: Question) -> str | None:
        """Give the answer; None where there is none, and the question is open then.

        Raises:
            NotInferableError: The answer is none of those to choose from.
        """
        value = self.value(question.word)
        if value is None:
            if not self.has_open(question.word):
                self.open.append(question)
            return None
        if value not in question.answers:
            wanted = " or ".join(map(repr, question.answers))
            # A question with one answer says in it what to do where that is wrong.
            meaning = next(iter(question.answers.values())) if len(question.answers) == 1 else ""
            raise NotInferableError(
                f"expected --answer {question.word}={wanted}, got {value!r}"
                f"{f'; {question.text} {meaning}' if meaning else ''}"
            )
        return value

    def has_open(self, word: str) -> bool:
        """Whether a question is open."""
        return any(one.word == word for one in self.open)

    def check(self) -> None:
        """Check that each answer was asked for, or may be once open questions are answered.

        Raises:
            NotInferableError: One was not.
        """
        unknown = sorted(set(self.given) - self.used)
        if self.open:
            unknown = [word for word in unknown if word not in WORDS]
        if not unknown:
            return
        hint = ""
        if unknown[0] not in WORDS:
            near = get_close_matches(unknown[0], WORDS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; the words are {', '.join(WORDS)}"
        raise NotInferableError(
            f"expected answers to open questions, got {unknown[0]!r}, which nothing asks for{hint}"
        )

    def value(self, word: str) -> str | None:
        """Give an answer that needs no question."""
        self.used.add(word)
        return self.given.get(word)
