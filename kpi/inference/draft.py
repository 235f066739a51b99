"""Draft of a contract: what was found, with the evidence for each word."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Value = str | bool | int | Sequence[str] | Mapping[str, object]


@dataclass
class Word:
    """One line of a contract.

    Attributes:
        name: Of the word or column.
        value: Of TOML.
        note: Evidence, behind it as a comment.
        is_comment: Whether the line is only proposed.
    """

    name: str
    value: object
    note: str = ""
    is_comment: bool = False

    def lines(self) -> str:
        """Write the line."""
        text = f"{key_text(self.name)} = {toml(self.value)}"
        if self.is_comment:
            text = f"# {text}"
        return f"{text}  # {one_line(self.note)}" if self.note else text


@dataclass
class Block:
    """A table of a contract.

    Attributes:
        head: Its header, such as `[orders.columns]`; empty for the top.
        words: Its lines.
        notes: Comments above it.
    """

    head: str
    words: list[Word] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, value: object, note: str = "", *, is_comment: bool = False) -> None:
        """Add a line."""
        self.words.append(Word(name, value, note, is_comment))

    def value_of(self, name: str) -> object:
        """Give the value of a line; None where there is none."""
        return next((one.value for one in self.words if one.name == name), None)

    def lines(self) -> list[str]:
        """Write the table."""
        head = [self.head] if self.head else []
        notes = [f"# {one_line(note)}" for note in self.notes]
        return [*notes, *head, *(word.lines() for word in self.words)]


def write(blocks: Sequence[Block]) -> str:
    """Write a contract as TOML."""
    return "\n\n".join("\n".join(block.lines()) for block in blocks if block.lines()) + "\n"


def toml(value: object) -> str:
    """Write a value as TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_header(name)} = {toml(one)}" for name, one in value.items())
        return f"{{ {inside} }}"
    if isinstance(value, Sequence):
        return f"[{', '.join(map(toml, value))}]"
    raise TypeError(type(value))


def _header(name: str) -> str:
    """Write a header as a key; a dot in it would be one of TOML's."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml(name)


def key_text(name: str) -> str:
    """Write a key of TOML."""
    return name if re.fullmatch(r"[A-Za-z0-9_.-]+", name) else toml(name)


def one_line(text: str) -> str:
    """Leave line ends and control characters out of a comment."""
    return "".join(one if one.isprintable() else " " for one in text)


def left_open(blocks: Sequence[Block]) -> tuple[str, ...]:
    """List the lines that are only proposed, each with its evidence."""
    return tuple(
        f"{block.head} {word.name} = {toml(word.value)}: {one_line(word.note)}"
        for block in blocks
        for word in block.words
        if word.is_comment and word.value
    )
