"""Values as exports write them, under contract language 2: padded, noisy, folded, in any zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Decimal
from importlib.resources import files
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from kpi.contract.conditions import Patterns
from kpi.contract.loading import parse_contract
from kpi.contract.model import Contract
from kpi.mapping.clean_rows import DAY
from kpi.mapping.conditions import matches
from tests.properties.test_values import INSTANTS, LETTERS, PADDING, PLACES, PRICES, ZONES
from tests.properties.validation import Outcome, outcome
from tests.support.profiles import examples

HEADER = "Order,Date,SKU,Qty,Total,Who"


def contract_of(day: str = "as written", times: str = "") -> Contract:
    zone = f'times = "{times}"\n' if times else ""
    text = f"""language = 2
name = "test"
day = "{day}"
{zone}not_before = "0001-01-01"
not_after = "9999-12-31"
[limits]
max_reject_rate = 1.0
[[files]]
match = "*.csv"
feeds = ["orders", "order_items"]
[orders.columns]
order_id = "Order"
created_at = "Date"
user_id = "Who"
[order_items]
key = "order"
[order_items.columns]
order_id = "Order"
product_id = "SKU"
quantity = "Qty"
after_discount = "Total"
"""
    return parse_contract(text, source="test")


AS_WRITTEN = contract_of()


def mapped(
    rows: list[str], contract: Contract = AS_WRITTEN, *, block_bytes: int = 10**6
) -> Outcome:
    data = "\n".join([HEADER, *rows, ""]).encode()
    return outcome(data, dataset="orders", contract=contract, block_bytes=block_bytes)


@given(st.lists(st.tuples(PADDING, PADDING), min_size=6, max_size=6), st.integers(1, 99))
@examples(0.3)
def test_padding_changes_no_value(pads: list[tuple[str, str]], number: int) -> None:
    values = [str(number), "2025-03-01", "A", "2", "9.50", "Ann"]
    cells = [f"{before}{value}{after}" for value, (before, after) in zip(values, pads, strict=True)]
    plain, padded = mapped([",".join(values)]), mapped([",".join(cells)])
    assert len(plain.clean) == 2
    assert padded.clean == plain.clean, cells
    # A byte order mark before the first cell of a chunk is passed over by the converter.
    marks = pads[0][0].removeprefix("\ufeff") + pads[0][1], "".join(pads[5])
    padded_texts = [bool(mark) for mark in marks]
    assert padded.entry.feeds["orders"].notes.get("trimmed", 0) == sum(padded_texts)


@given(st.lists(PRICES, min_size=1, max_size=30))
@examples(0.6)
@example(["19.989999771118164", "51.57000000000001", "1.776357e-15", "10.000000000000000000"])
def test_float_noise_is_rounded_half_even_once(prices: list[str]) -> None:
    found = mapped([f"{at},2025-03-01,A,1,{price},x" for at, price in enumerate(prices)])
    lines = [row for row in found.clean if "after_discount" in row]
    wanted = [Decimal(price).quantize(PLACES, ROUND_HALF_EVEN) for price in prices]
    assert [row["after_discount"] for row in lines] == wanted
    lossy = sum(Decimal(price) != value for price, value in zip(prices, wanted, strict=True))
    assert found.entry.feeds["order_items"].notes.get("rounded", 0) == lossy


def zone_of(name: str) -> ZoneInfo:
    with (files("tzdata.zoneinfo") / name).open("rb") as file:
        return ZoneInfo.from_file(file)


OFFSETS = st.none() | st.integers(-12 * 60, 14 * 60)
"""Minutes from UTC; none where a time carries no offset."""


@given(
    st.sampled_from(ZONES),
    st.sampled_from(ZONES),
    st.lists(st.tuples(INSTANTS, OFFSETS), min_size=1, max_size=5),
)
@examples(0.5)
def test_a_day_is_that_of_its_zone(
    day: str, times: str, moments: list[tuple[datetime, int | None]]
) -> None:
    zone, texts, wanted = zone_of(times), [], []
    for moment, minutes in moments:
        tz = zone if minutes is None else timezone(timedelta(minutes=minutes))
        texts.append((moment if minutes is None else moment.replace(tzinfo=tz)).isoformat())
        wanted.append(moment.replace(tzinfo=tz).astimezone(UTC))
    found = mapped(
        [f"{at},{text},A,1,1,x" for at, text in enumerate(texts)], contract_of(day, times)
    )
    orders = [row for row in found.clean if "created_at" in row]
    assert [row["created_at"] for row in orders] == wanted
    days = [date(1970, 1, 1) + timedelta(days=row[DAY]) for row in orders]
    assert days == [instant.astimezone(zone_of(day)).date() for instant in wanted]


@given(st.lists(st.tuples(INSTANTS, OFFSETS), min_size=1, max_size=5))
@examples(0.3)
def test_a_day_as_written_is_the_date_of_the_text(
    moments: list[tuple[datetime, int | None]],
) -> None:
    rows, days = [], []
    for at, (moment, minutes) in enumerate(moments):
        tz = None if minutes is None else timezone(timedelta(minutes=minutes))
        rows.append(f"{at},{moment.replace(tzinfo=tz).isoformat()},A,1,1,x")
        days.append((moment.date() - date(1970, 1, 1)).days)
    found = mapped(rows)
    assert [row[DAY] for row in found.clean if "created_at" in row] == days


@given(st.text(LETTERS, min_size=1, max_size=8))
@examples(0.6)
@example("İade edildi")
@example("ΕΠΙΣΤΡΟΦΗΣ")
def test_a_condition_matches_whatever_its_case_and_form(text: str) -> None:
    assume(text.strip() and not text.startswith("!") and "*" not in text)
    cells = pa.array([text, text.casefold(), f" {text}\u200b", None, "\u2603"], pa.string())
    assert matches(Patterns((text,)), cells).tolist() == [True] * 3 + [False] * 2


IDS = st.text("ab0\0\x1f|\U0001f600", min_size=1, max_size=17)


@given(st.lists(IDS, min_size=1, max_size=40))
@examples(0.3)
def test_ids_stay_apart_in_blocks_of_any_length(ids: list[str]) -> None:
    assume(all(one.strip("\0\x1f") for one in ids))
    rows = [f"{one},2025-03-01,A,1,1,x" for one in ids]
    found = mapped(rows, block_bytes=64)
    wanted = [one.strip("\x1f") for one in ids]
    assert [row["order_id"] for row in found.clean if "created_at" in row] == wanted


@pytest.mark.parametrize("columns", [10, 300, 994])
def test_wide_files_are_read_by_the_columns_that_matter(columns: int) -> None:
    names = [f"c{number}" for number in range(columns)]
    header = ",".join([*names[::2], HEADER, *names[1::2]])
    row = ",".join([*(["v"] * len(names[::2])), "1,2025-03-01,A,1,5,x", *(["v"] * (columns // 2))])
    data = f"{header}\n{row}\n".encode()
    found = outcome(data, dataset="orders", contract=AS_WRITTEN, block_bytes=10**6)
    assert found.entry.verdict == "accepted", found.entry.reason
    assert len(found.clean) == 2
