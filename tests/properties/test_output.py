"""What is printed of rows from outside does nothing to whoever looks at it."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.support.commands import shopkpi
from worker.cli.sanitize import spreadsheet_cell, visible, without_secrets

STARTS = (
    "",
    " ",
    "  ",
    "\t",
    "\r",
    "\n",
    "\u00a0",
    "\u200b",
    "\ufeff",
    "\x00",
    '"',
    "'",
    ' "',
    "\u3000",
)
SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
FORMULAS = (
    *("1+1", "SUM(A1)", "cmd|' /C calc'!A0", 'HYPERLINK("http://x","y")', "WEBSERVICE(A1)"),
    *('DDE("cmd";"/C calc";"x")', "10+20+cmd|' /C calc'!A0"),
)
TEXTS = [f"{start}{sign}{rest}" for start in STARTS for sign in SIGNS for rest in FORMULAS[:3]]


def is_formula(cell: str) -> bool:
    """As a spreadsheet that trims what is invisible, and quotes, and folds full width, sees it."""
    if cell[:1] in ("\t", "\r", "\n"):
        return True
    folded = unicodedata.normalize("NFKC", cell)
    bare = "".join(
        one for one in folded if unicodedata.category(one) not in ("Cc", "Cf", "Zs", "Zl", "Zp")
    )
    return bare.lstrip("\"' ")[:1] in tuple("=+-@") and not cell.startswith("'")


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_spelling_of_a_formula_is_one(formula: str) -> None:
    for start in STARTS:
        for sign in SIGNS:
            text = start + sign + formula
            assert is_formula(text) or text.startswith("'")
            assert not is_formula(spreadsheet_cell(text)), repr(text)


@given(st.text(max_size=20))
@example("'")
@example("'=1")
@example("''")
def test_cells_are_safe_and_lose_nothing(text: str) -> None:
    cell = spreadsheet_cell(text)
    assert not is_formula(cell)
    # Another text never becomes the same cell: whoever takes the apostrophe away has it again.
    assert (cell.removeprefix("'") if cell.startswith("'") else cell) == text


@given(st.text(st.characters(categories=["L", "N", "Po"], exclude_characters="@'"), max_size=20))
def test_ordinary_texts_stay_as_they_are(text: str) -> None:
    assume(text == "" or text[0].isalnum())
    assert spreadsheet_cell(text) == text


def test_the_commands_print_such_cells(tmp_path: Path) -> None:
    """Categories of a query; raw rows and reasons of rejects."""
    shop = tmp_path / "shop"
    for name in ("products", "orders", "order_items"):
        (shop / name).mkdir(parents=True)
    texts = [text for text in TEXTS if "\r" not in text]
    with (shop / "products" / "1.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "category"])
        writer.writerows(enumerate(texts))
    items = "".join(f"{one},1,{one},1.00\n" for one in range(len(texts)))
    (shop / "order_items" / "1.csv").write_text("id,order_id,product_id,sale_price\n" + items)
    good = "".join(f"{number},1,x,2025-03-01\n" for number in range(1, 5000))
    bad = "".join(
        text.replace("\n", "") + ",a row\n" for text in texts if not re.search('["\n]', text)
    )
    header = "order_id,user_id,status,created_at\n"
    (shop / "orders" / "1.csv").write_text(header + good + bad, newline="")
    assert shopkpi(tmp_path, "run", "shop", "--format", "json").code == 0
    for question in (("query", "category"), ("rejects", "orders/1.csv")):
        plain = shopkpi(tmp_path, *question, "--format", "json").json
        printed = shopkpi(tmp_path, *question, "--format", "csv").out
        _, *rows = csv.reader(io.StringIO(printed, newline=""))
        assert len(rows) == len(plain) > 90
        for cells, fields in zip(rows, plain, strict=True):
            for cell, value in zip(cells, fields.values(), strict=True):
                text = "; ".join(value) if isinstance(value, list) else str(value)
                assert cell == text or cell == f"'{text}"
                assert not is_formula(cell) or re.fullmatch(r"-?\d+(\.\d+)?", cell)


@given(st.text(max_size=30))
@example("\x1b]0;mine\x07\x1b[2J\u202egpj.exe\x9b31m\r\b\x7f")
def test_what_is_shown_is_read_and_not_obeyed(text: str) -> None:
    shown = visible(text)
    for letter in shown:
        assert unicodedata.category(letter) not in ("Cc", "Cs") or letter in "\n\t"
        assert unicodedata.bidirectional(letter) not in (
            *("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"),
        )
    assert visible(shown) == shown
    shown.encode()


def test_tables_obey_neither_rows_nor_markup(tmp_path: Path) -> None:
    rows = ["\x1b[2J,1,x,y", "[red]x[/red],1", "\x9b31m,1", "\u202e,1", "x" * 100_000, "[/]"]
    good = "".join(f"{number},1,x,2025-03-01\n" for number in range(100))
    path = tmp_path / "orders" / "1.csv"
    path.parent.mkdir()
    text = "order_id,user_id,status,created_at\n" + good + "\n".join(rows) + "\n"
    path.write_bytes(text.encode())
    run = shopkpi(tmp_path, "run", "orders", "--format", "table")
    done = shopkpi(tmp_path, "rejects", "1.csv", "--format", "table")
    assert (run.code, done.code) == (0, 0)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", run.out + done.out)
    assert "[red]x[/red]" in done.out
    assert "(100,000 characters)" in re.sub(r"[\s│]", " ", done.out).replace("  ", "")
    assert len(done.out) < 20_000  # a row of megabytes is not unfolded on a terminal


# Secrets.


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("https://me:hunter2hunter2@host:9000/x failed", "hunter2"),
        ("http://token@127.0.0.1:1/bucket", "token"),
        ("https://b.s3.amazonaws.com/k?X-Amz-Signature=abc123&X-Amz-Credential=AKIA/x", "abc123"),
        ("https://b.s3.amazonaws.com/k?X-Amz-Signature=abc123&X-Amz-Credential=AKIA/x", "AKIA"),
        ("s3://b/k?X-Amz-Security-Token=FwoGZXIvYXdzEDMa", "FwoGZXIvYXdzEDMa"),
        ("should have been 'POST\n/\n\nx-amz-security-token:FwoGZXIv/+==\n\nhost", "FwoGZXIv"),
        ("Authorization: AWS4-HMAC-SHA256 Credential=AKIA/2025, Signature=fe5f80", "fe5f80"),
        ("postgres://me:pa55word@host/db", "pa55word"),
    ],
)
def test_secrets_of_urls_and_signed_headers_are_hidden(text: str, secret: str) -> None:
    shown = without_secrets(text)
    assert secret not in shown
    assert "***" in shown


def test_values_of_the_environment_are_hidden_wherever_they_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "short")
    assert without_secrets("xwJalrXUtnFEMI/K7MDENGy") == "x***y"
    assert without_secrets("a short story") == "a short story"


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/a?b=c&d: there is no such object",
        "file:///a/b?c.csv: it was changed",
        "/home/me@work/orders: nothing is there",
        "expected a signature of two columns, got one",
    ],
)
def test_messages_without_secrets_stay_as_they_are(text: str) -> None:
    assert without_secrets(text) == text
