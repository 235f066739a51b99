"""Values as exports write them: padded, folded, with float noise, in any zone and any number."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from importlib.resources import files
from zoneinfo import ZoneInfo

import pyarrow as pa
from hypothesis import assume, example, given
from hypothesis import strategies as st

from kpi.aggregation.day_slice import is_returned
from kpi.contract.folding import BLANKS
from kpi.contract.model import Contract
from tests.properties.validation import LENIENT, changed, outcome
from tests.support.profiles import examples

PADDING = st.text(st.sampled_from([one for one in BLANKS if one not in "\n\v\f\r\x85"]), max_size=3)
PLACES = Decimal("0.0001")
INT64 = st.integers(-(2**63), 2**63 - 1)


def items(prices: list[str]) -> bytes:
    lines = [f"{number},1,1,{price}" for number, price in enumerate(prices)]
    return "\n".join(["id,order_id,product_id,sale_price", *lines, ""]).encode()


@given(st.lists(st.tuples(PADDING, PADDING), min_size=4, max_size=4), st.integers(1, 99))
@examples(1)
def test_padding_changes_no_value(pads: list[tuple[str, str]], number: int) -> None:
    values = [str(number), "7", "delivered", "2025-03-01T10:00:00"]
    cells = [f"{before}{value}{after}" for value, (before, after) in zip(values, pads, strict=True)]
    header = "order_id,user_id,status,created_at\n"
    contract = LENIENT
    plain = outcome((header + ",".join(values)).encode(), dataset="orders", contract=contract)
    padded = outcome((header + ",".join(cells)).encode(), dataset="orders", contract=contract)
    assert plain.entry.rows_clean == 1
    assert padded.clean == plain.clean, cells
    assert padded.entry.notes.get("trimmed", 0) == bool("".join(pads[2]))


PRICES = st.one_of(
    st.floats(0, 10**6, allow_nan=False).map(repr),
    st.floats(0, 10**6, allow_nan=False).map("{:.17g}".format),
    st.decimals(0, 10**9, places=4).map("{:f}".format),
    st.tuples(st.integers(0, 10**9), st.text("0123456789", max_size=30)).map(
        lambda parts: f"{parts[0]}.{parts[1]}"
    ),
    st.tuples(st.integers(0, 10**5), st.sampled_from(["00005", "00015", "00025", "000050000"])).map(
        lambda parts: f"{parts[0]}.{parts[1]}"
    ),
)


@given(st.lists(PRICES, min_size=1, max_size=30))
@examples(2)
@example(["19.989999771118164", "51.57000000000001", "1.776357e-15", "10.000000000000000000"])
@example(["2.225073858507203e-309"])
@example([f"1.{exponent}e-{exponent}" for exponent in range(10, 400, 3)])
def test_float_noise_is_rounded_half_even_once(prices: list[str]) -> None:
    found = outcome(items(prices), dataset="order_items")
    wanted = [Decimal(price).quantize(PLACES, ROUND_HALF_EVEN) for price in prices]
    assert [row["sale_price"] for row in found.clean] == wanted
    lossy = sum(Decimal(price) != value for price, value in zip(prices, wanted, strict=True))
    assert found.entry.notes.get("rounded", 0) == lossy


def returned_as(text: str) -> Contract:
    quoted = "".join(f"\\U{ord(character):08x}" for character in text)
    return changed(('returned = ["returned"]', f'returned = ["{quoted}"]'))


LETTERS = st.characters(categories=["L", "M"], include_characters="İıßςΣŉǰ\u0345\u0307 ")


@given(st.text(LETTERS, min_size=1, max_size=8))
@examples(3)
@example("İade edildi")
@example("ΕΠΙΣΤΡΟΦΗΣ")
def test_a_status_matches_whatever_its_case_and_form(text: str) -> None:
    assume(text.strip(BLANKS))
    variants = [text, text.casefold(), unicodedata.normalize("NFD", text), f" {text}\u00a0"]
    variants.append(unicodedata.normalize("NFC", text))
    found = is_returned(pa.array([*variants, None, "\u2603"], pa.string()), returned_as(text))
    assert found.tolist() == [True] * len(variants) + [False, False]


ZONES = tuple((files("tzdata") / "zones").read_text("utf-8").split())
"""Names of the wheel: the zones of the machine may be built from other data."""

INSTANTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)).map(
    lambda moment: moment.replace(microsecond=0)
)


@given(st.sampled_from(ZONES), st.lists(INSTANTS, min_size=1, max_size=5))
@examples(2)
def test_local_times_of_any_zone_become_instants(name: str, moments: list[datetime]) -> None:
    contract = changed(
        ('source_time_zone = "UTC"', f'source_time_zone = "{name}"'),
        ("max_reject_rate = 0.10", "max_reject_rate = 1"),
    )
    with (files("tzdata.zoneinfo") / name).open("rb") as file:
        zone = ZoneInfo.from_file(file)
    texts = [moment.isoformat() for moment in moments]
    rows = "".join(f"{number},1,,{text}\n" for number, text in enumerate(texts))
    data = f"order_id,user_id,status,created_at\n{rows}".encode()
    found = outcome(data, dataset="orders", contract=contract)
    wanted = [moment.replace(tzinfo=zone).astimezone(UTC) for moment in moments]
    assert [row["created_at"] for row in found.clean] == wanted


@given(st.lists(st.text("abcxyz_ é?#", min_size=1, max_size=12), max_size=60), st.integers(1, 20))
@examples(1)
def test_unknown_columns_are_kept_by_name(names: list[str], rows: int) -> None:
    names = [name.strip() for name in names]
    folded = {name.casefold() for name in names}
    assume("" not in folded and len(folded) == len(names) and "id" not in folded)
    assume(not folded & {"category", "name", "cost"})
    lines = [",".join(["id", "category", *names])]
    for number in range(rows):
        cells = (f"v{number}-{at}" for at in range(len(names)))
        lines.append(",".join([str(number), "Toys", *cells]))
    found = outcome("\n".join(lines).encode())
    assert found.entry.rows_clean == rows
    for number, row in enumerate(found.clean):
        kept = dict(row.get("_rescued") or {})
        assert kept == {name: f"v{number}-{at}" for at, name in enumerate(names)}


@given(INT64, st.sampled_from([1, 2**16, 2**32, 2**48, 0x9E3779B97F4A7C15]), st.integers(1, 200))
@examples(1)
def test_chosen_integer_keys_stay_apart(first: int, step: int, count: int) -> None:
    ids = [(first + number * step + 2**63) % 2**64 - 2**63 for number in range(count)]
    rows = "".join(f"{one},Toys\n" for one in ids)
    found = outcome(f"id,category\n{rows}".encode())
    assert [row["id"] for row in found.clean] == ids
