"""What a contract reads otherwise than a file may mean it is told, never counted in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.language.contracts import FILES, HEAD, ITEMS, ORDERS, sales
from tests.language.files import File
from tests.language.product import check
from tests.support.commands import Shopkpi

DAY, NEXT = "2025-03-01", "2025-03-02"

LINES = HEAD + FILES + "[orders]\n" + ORDERS + ITEMS

HEADER = "Order,Date,SKU,Qty,Total,Who,Status"

MAPPED = (
    LINES.replace("[orders]\n", '[orders]\nreturned = { status = "back" }\n')
    + '[orders.columns.user_id]\nfrom = "Who"\n[orders.columns.status]\nfrom = "Status"\n'
)


def notes_of(home: Path, contract: str, *rows: str, header: str = HEADER) -> dict[str, int]:
    """Return what the receipt says of the orders of one file."""
    entry = check(home, contract, [File("sales1.csv", sales(*rows, header=header), 0)])
    notes = entry.entries["sales1.csv"].feeds["orders"].notes
    return {name: count for name, count in notes.items() if name != "repeated_keys"}


def test_a_status_of_lines_below_orders_is_told(tmp_path: Path) -> None:
    """The last row's counts for the order, whatever its other lines say."""
    rows = (f"1,{DAY},A,1,5,ann,back", f"1,{DAY},B,1,5,ann,sent", f"2,{DAY},A,1,5,ben,sent")
    assert notes_of(tmp_path, MAPPED, *rows) == {"contradicting.status": 1}


def test_statuses_that_decide_nothing_may_differ(tmp_path: Path) -> None:
    rows = (f"1,{DAY},A,1,5,ann,packed", f"1,{DAY},B,1,5,ann,sent")
    assert notes_of(tmp_path, MAPPED, *rows) == {}


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (f"1,{NEXT},B,1,5,ann,", {"contradicting.created_at": 1}),
        (f"1,{DAY},B,1,5,ben,", {"contradicting.user_id": 1}),
        (f"1,{DAY},B,1,5,,", {"contradicting.user_id": 1}),
        (f"1,{DAY} 09:30,B,1,5,ann,", {}),
    ],
    ids=["day", "customer", "blank customer", "time of one day"],
)
def test_rows_of_an_order_that_differ_in_what_counts_are_told(
    tmp_path: Path, second: str, expected: dict[str, int]
) -> None:
    rows = (f"1,{DAY},A,1,5,ann,", "2,2025-03-01,A,1,5,zoe,", second)
    assert notes_of(tmp_path, MAPPED, *rows) == expected


def test_rows_of_a_change_file_are_meant_to_differ(tmp_path: Path) -> None:
    contract = MAPPED.replace("[orders]\n", '[orders]\nversion = "changed"\n')
    contract += '[orders.columns.changed]\nfrom = "Changed"\n'
    rows = (f"1,{DAY},A,1,5,ann,back,1", f"1,{NEXT},B,1,5,ben,sent,2")
    assert notes_of(tmp_path, contract, *rows, header=f"{HEADER},Changed") == {}


@pytest.mark.parametrize(
    ("key", "one_by_one"), [('"row"', False), ('"row"', True), ('["order_id", "SKU"]', False)]
)
def test_numbers_that_begin_anew_in_each_file_are_told(
    tmp_path: Path, key: str, one_by_one: bool
) -> None:
    contract = LINES.replace('key = "order"', f"key = {key}")
    contract += 'SKU = "SKU"\n' * ("SKU" in key)
    files = [
        File("sales1.csv", sales(f"1,{DAY},A,1,5", f"2,{DAY},A,1,5", f"9,{DAY},A,1,5"), 0),
        File("sales2.csv", sales(f"1,{NEXT},B,1,5", f"2,{NEXT},B,1,5", f"2,{NEXT},C,1,5"), 1),
    ]
    assert check(tmp_path, contract, files, one_by_one=one_by_one).notes["moved_orders"] == 2


def test_a_doubt_is_a_warning_and_a_line_for_people(tmp_path: Path, shopkpi: Shopkpi) -> None:
    rows = (f"1,{DAY},A,1,5,ann,back", f"1,{DAY},B,1,5,ann,sent")
    Path("shop").mkdir()
    Path("shop/sales1.csv").write_text(sales(*rows, header=HEADER))
    Path("c.toml").write_text(MAPPED)
    words = ("run", "shop", "--contract", "c.toml")
    done = shopkpi(*words, "--format", "json", "--workspace", str(tmp_path / "ws"))
    (event,) = [one for one in done.events if one["event"] == "source.doubtful"]
    assert (event["level"], event["doubts"]) == ("warning", {"contradicting.status": 1})
    assert "1 order with rows that differ in status" in shopkpi(*words, "--format", "table").out


@pytest.mark.parametrize(
    ("name", "row"),
    [("sales2.csv", f"1,{DAY},B,1,5"), ("sales1.csv", f"1,{NEXT},B,1,5")],
    ids=["same day", "same name"],
)
def test_further_lines_and_corrections_move_no_order_in_doubt(
    tmp_path: Path, name: str, row: str
) -> None:
    contract = LINES.replace('key = "order"', 'key = "row"')
    files = [File("sales1.csv", sales(f"1,{DAY},A,1,5"), 0), File(name, sales(row), 1)]
    assert "moved_orders" not in check(tmp_path, contract, files).notes


@pytest.mark.parametrize(
    ("day", "times", "expected"),
    [
        ("UTC", ("2025-03-01T23:30:00-05:00", "2025-03-01T12:00:00-05:00"), 1),
        ("UTC", ("2025-03-30T00:30:00+01:00", "2025-03-31T00:30:00+02:00"), 2),
        ("UTC", ("2025-03-01T23:30:00-05:00", "2025-03-01T12:00:00+09:00"), 0),
        ("UTC", ("2025-03-01T23:30:00Z", "2025-03-01T12:00:00Z"), 0),
        ("America/Bogota", ("2025-03-01T23:30:00-05:00", "2025-03-01T12:00:00-05:00"), 0),
        ("as written", ("2025-03-01T23:30:00-05:00", "2025-03-01T12:00:00-05:00"), 0),
    ],
)
def test_a_day_in_another_place_than_the_files_is_told(
    tmp_path: Path, day: str, times: tuple[str, str], expected: int
) -> None:
    contract = LINES.replace('day = "as written"', f'day = "{day}"')
    rows = [f"{at},{time},A,1,5,," for at, time in enumerate(times)]
    found = notes_of(tmp_path, contract, *rows)
    assert found == ({"another_day_as_written": expected} if expected else {})
