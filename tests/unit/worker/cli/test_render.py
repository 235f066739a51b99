"""Tables show every text as it is, in its own row."""

from __future__ import annotations

import pytest

from worker.cli.render import MAX_CELL_CHARACTERS, show_rows

HOSTILE = [
    "[red]x[/red]",
    "[/bold]",
    "[link=http://e]y[/link]",
    "[@click=app.bell]b[/]",
    ":smile:",
    ":warning:",
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("place", ["cell", "header", "title"])
def test_markup_and_emoji_codes_stay(
    text: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    column = text if place == "header" else "name"
    show_rows([{column: text if place == "cell" else "x" * 40}], text if place == "title" else "")
    assert text in capsys.readouterr().out


@pytest.mark.parametrize("end", ["\n", "\r\n", "\x85", "\u2028"])
def test_line_end_in_a_cell_begins_no_line(end: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([{"name": f"a{end}forged"}])
    printed = capsys.readouterr().out
    assert not [line for line in printed.splitlines() if line.startswith("forged")]
    assert len(printed.splitlines()) == 5


def test_long_cell_is_clipped_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([{"name": "x" * 5000}])
    printed = capsys.readouterr().out
    assert printed.count("x") == MAX_CELL_CHARACTERS
    assert "(5,000" in printed


def test_no_rows_are_said_to_be_none(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([])
    assert capsys.readouterr().out == "no rows\n"
