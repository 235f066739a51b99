"""Blanks under contract language 2: around values, and records that have none."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from kpi.contract.folding import BLANKS
from tests.language.contracts import FILES, HEAD, ITEMS, ORDERS, sales
from tests.language.days import DAY, row
from tests.language.files import File
from tests.language.product import check, run

CONTRACT = HEAD + FILES + ORDERS + 'user_id = "Who"\n' + ITEMS + 'category = "SKU"\n'
HEADER = "Order,Date,SKU,Qty,Total,Who"
ROWS = [f"{number},{DAY},A,1,5,x" for number in range(20)]
INLINE = [blank for blank in BLANKS if blank not in "\n\v\f\r"]


def test_outer_blanks_change_no_value(tmp_path: Path) -> None:
    rows = [
        ",".join(f"{blank}{cell}{blank}{blank}" for cell in f"{number},{DAY},A,1,5,x".split(","))
        for number, blank in enumerate(INLINE)
    ]
    outcome = check(tmp_path, CONTRACT, [File("sales.csv", sales(*rows, header=HEADER), 0)])
    entry, count = outcome.entries["sales.csv"], len(INLINE)
    assert entry.rows_rejected == 0
    assert row(outcome)["unique_customers"] == 1
    assert (row(outcome)["total_orders"], row(outcome)["total_revenue"]) == (count, 5 * count)
    assert [key for key in outcome.categories if key[1] != "A"] == []
    trimmed = {name: feed.notes["trimmed"] for name, feed in entry.feeds.items()}
    assert trimmed == {"orders": 2 * count, "order_items": 3 * count}


BLANK_RECORDS = [
    *("\x1a", "\0\0\0", ",,,,,", ",,", '"",""', ",\x1a,,,,", "\0,\0,\0,\0,\0,\0"),
    *INLINE,
]


def test_records_without_values_are_no_rows(tmp_path: Path) -> None:
    text = sales(*ROWS[:10], *BLANK_RECORDS, *ROWS[10:], header=HEADER) + "\x1a"
    outcome = check(tmp_path, CONTRACT, [File("sales.csv", text, 0)])
    entry = outcome.entries["sales.csv"]
    assert (entry.rows_read, entry.rows_clean, entry.rows_rejected) == (20, 20, 0)
    assert entry.notes["blank_rows"] == len(BLANK_RECORDS) + 1
    assert row(outcome)["total_orders"] == 20


def test_rejects_behind_blank_records_have_their_rows(tmp_path: Path) -> None:
    text = sales(*ROWS, "\x1a", f"x,{DAY},A,1,five,x", "\0", header=HEADER)
    outcome = run(tmp_path, CONTRACT, [File("sales.csv", text, 0)])
    (key,) = outcome.entries["sales.csv"].rejects
    assert pq.read_table(tmp_path / "ws" / key)["row"].to_pylist() == [23]


def test_a_plain_quote_is_a_value(tmp_path: Path) -> None:
    contract = CONTRACT.replace(FILES, FILES + 'quote = ""\n')
    text = sales(*ROWS, '"', header=HEADER)
    outcome = run(tmp_path, contract, [File("sales.csv", text, 0)])
    assert outcome.entries["sales.csv"].reasons == {"wrong_column_count": 1}


@pytest.mark.parametrize(
    ("word", "cell"),
    [("n/a", "N/A\u200b"), ("BELİRSİZ", "belirsiz"), ("ΑΓΝΩΣΤΟΣ", "αγνωστος")],
)
def test_words_for_no_value_match_by_case_folding(tmp_path: Path, word: str, cell: str) -> None:
    contract = CONTRACT.replace(FILES, FILES + f'blanks = ["{word}"]\n')
    text = sales(*ROWS, f"99,{DAY},A,1,5,{cell}", header=HEADER)
    outcome = check(tmp_path, contract, [File("sales.csv", text, 0)])
    assert row(outcome)["anonymous_orders"] == 1
