"""Rejected rows, corrected in a sheet: they count as if their file had come right."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.e2e.files import ITEMS, put
from tests.language.contracts import FILES, HEAD, sales
from tests.language.contracts import ITEMS as SHOP_ITEMS
from tests.language.contracts import ORDERS as SHOP_ORDERS
from tests.support.commands import Shopkpi

HEADER = "order_id,user_id,status,created_at\n"
BAD = (
    HEADER + "1,7,first,2025-03-01\n"
    "2,7,x,not a day\n"  # row 3: its key comes again below, so that it never counts
    "1,8,late,no\n"  # row 4: stands after row 2
    "2,9,x,2025-03-02\n"
    '3,7,"=1+1, x",2025-03-0x\n'  # row 6: a later file has its key
    "4,7,x,2025-03-04,surplus\n"  # row 7
    "5,7,x,still bad\n"  # row 8
     + "".join(f"{number},1,x,2025-03-09\n" for number in range(100, 200))
)
RIGHT = (
    BAD.replace("not a day", "2025-03-07")
    .replace("no\n", "2025-03-05\n")
    .replace("2025-03-0x", "2025-03-06")
    .replace(",surplus", "")
)
LATER = HEADER + "3,9,x,2025-03-08\n"
ROWS = {
    "3": {"created_at": "2025-03-07"},
    "4": {"created_at": "2025-03-05"},
    "6": {"created_at": "2025-03-06"},
    "7": {"shopkpi_extra_1": ""},
    "8": {"created_at": "worse"},
}


def put_at(name: str, text: str, seconds: int) -> None:
    os.utime(put(name, text), (1_750_000_000 + seconds,) * 2)


def put_shop(folder: str, orders: str) -> None:
    put_at(f"{folder}/orders/1.csv", orders, 0)
    put_at(f"{folder}/orders/2.csv", LATER, 60)
    items = "".join(f"{one},{one},5,,{one}.00\n" for one in range(1, 6))
    put_at(f"{folder}/order_items/1.csv", ITEMS + items, 0)


def correct(sheet: str, rows: dict[str, dict[str, str]], to: str = "fixed.csv") -> str:
    """Correct cells of rows, as a spreadsheet would; other rows stay as they are."""
    with Path(sheet).open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        found, names = list(reader), reader.fieldnames or []
    for row in found:
        row.update(rows.get(row["shopkpi_row"], {}))
    with Path(to).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, delimiter=";")
        writer.writeheader()
        writer.writerows(found)
    return to


def rows_of(shopkpi: Shopkpi, *options: str) -> list[list[dict[str, Any]]]:
    """Rows of KPI tables, but for when they were published."""
    tables = ("orders", "category")
    found = [shopkpi("query", one, "--format", "json", *options).json for one in tables]
    when = {"as_of", "published_at"}
    return [
        [{name: value for name, value in row.items() if name not in when} for row in rows]
        for rows in found
    ]


def kpis(tables: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """Rows without what they say of their completeness."""
    names = ("order_date", "category", "total_orders", "total_revenue", "daily_revenue")
    return [[{one: row[one] for one in names if one in row} for row in rows] for rows in tables]


def counts(shopkpi: Shopkpi, name: str = "orders/1.csv") -> list[int]:
    (found,) = shopkpi("ledger", name, "--format", "json").json
    return [found[f"rows_{one}"] for one in ("rejected", "repaired", "open", "clean")]


@pytest.fixture
def repaired(shopkpi: Shopkpi) -> list[list[dict[str, Any]]]:
    """A shop whose file was repaired; the rows of one whose file came right."""
    put_shop("shop", BAD)
    put_shop("right", RIGHT)
    assert shopkpi("run", "shop").code == 0
    assert shopkpi("run", "right", "--workspace", "other").code == 0
    assert shopkpi("rejects", "orders/1.csv", "--repair", "fix.csv").code == 0
    assert shopkpi("repair", correct("fix.csv", ROWS), "--format", "json").code == 0
    return rows_of(shopkpi, "--workspace", "other")


def test_repaired_rows_count_as_if_their_file_had_come_right(
    shopkpi: Shopkpi, repaired: list[list[dict[str, Any]]]
) -> None:
    assert rows_of(shopkpi) == repaired
    assert counts(shopkpi) == [5, 4, 1, 106]
    assert [one["row"] for one in shopkpi("rejects", "orders/1.csv").json] == [8]
    assert shopkpi("rejects", "orders/1.csv").json[0]["byte_offset"] == BAD.index("5,7,x,still")
    audited = shopkpi("audit", "--recount", "9", "--format", "json").events[-1]
    assert (audited["differences"], audited["raw_files"], audited["clean_files"]) == (0, 3, 0)
    assert shopkpi("maintain", "--rebuild").code == 0
    assert rows_of(shopkpi) == repaired


@pytest.mark.usefixtures("repaired")
def test_explain_names_the_repair(shopkpi: Shopkpi) -> None:
    begun = datetime.now(UTC) - timedelta(minutes=10)
    times: dict[str, list[datetime]] = {}
    for day in shopkpi("query", "orders", "--format", "json").json:
        for one in shopkpi("explain", day["order_date"], "--format", "json").events:
            if "kind" in one:
                times.setdefault(one["kind"], []).append(datetime.fromisoformat(one["moved_at"]))
    # The files are of last year; what was repaired today changes no answer about yesterday.
    assert max(times["upload"]) < begun < min(times["repair"])
    asked = ("query", "orders", "--as-of", begun.isoformat(timespec="seconds"))
    assert all(one["as_of"] < 5 for one in shopkpi(*asked, "--format", "json").json)


def test_a_sheet_twice_changes_nothing(
    shopkpi: Shopkpi, repaired: list[list[dict[str, Any]]]
) -> None:
    entries = shopkpi("ledger", "--format", "json").out
    files = sorted(Path(".shopkpi").rglob("*.parquet"))
    event = shopkpi("repair", "fixed.csv", "--format", "json").events[0]
    assert (event["event"], event["rows"], event["rows_open"]) == ("source.repaired", 0, 1)
    assert shopkpi("ledger", "--format", "json").out == entries
    assert sorted(Path(".shopkpi").rglob("*.parquet")) == files
    assert rows_of(shopkpi) == repaired


def test_a_repair_is_repaired_and_another_one_adds_to_it(
    shopkpi: Shopkpi, repaired: list[list[dict[str, Any]]]
) -> None:
    more = {**ROWS, "8": {"created_at": "2025-03-01"}, "7": {"created_at": "", "status": "y"}}
    done = shopkpi("repair", correct("fix.csv", more), "--format", "table")
    assert done.code == 0, done.err
    # The second correction of row 7 is wrong, so that the first one stays.
    assert "rejected 5, repaired 5, open 0" in done.out
    assert "row 7: " in done.out
    assert counts(shopkpi) == [5, 5, 0, 107]
    assert rows_of(shopkpi) != repaired


def test_a_repair_falls_and_comes_back_with_its_file(
    shopkpi: Shopkpi, repaired: list[list[dict[str, Any]]]
) -> None:
    shutil.rmtree("right/orders")
    put_at("right/orders/2.csv", LATER, 60)
    assert shopkpi("run", "right", "--workspace", "without").code == 0
    assert shopkpi("retract", "orders/1.csv").code == 0
    assert rows_of(shopkpi) == rows_of(shopkpi, "--workspace", "without")
    assert shopkpi("restore", "orders/1.csv").code == 0
    assert rows_of(shopkpi) == repaired


def test_a_touched_file_keeps_its_repair(
    shopkpi: Shopkpi, repaired: list[list[dict[str, Any]]]
) -> None:
    os.utime("shop/orders/1.csv", (1_750_000_030,) * 2)
    assert shopkpi("run", "shop").code == 0
    assert kpis(rows_of(shopkpi)) == kpis(repaired)
    assert [one["row"] for one in shopkpi("rejects", "orders/1.csv").json] == [8]
    again = correct("fix.csv", {**ROWS, "8": {"created_at": "2025-03-01"}})
    assert shopkpi("repair", again, "--format", "json").events[0]["rows"] == 1
    assert kpis(rows_of(shopkpi)) != kpis(repaired)


def test_another_contract_keeps_repairs(
    shopkpi: Shopkpi, repaired: list[list[dict[str, Any]]]
) -> None:
    shown = shopkpi("contract", "show").out
    old = 'user_id = { type = "integer", required = true }'
    put("strict.toml", replaced(shown, old, old.replace(" }", ", min = 1 }")))
    assert shopkpi("contract", "adopt", "strict.toml").code == 0
    assert rows_of(shopkpi) == repaired
    assert shopkpi("audit", "--recount", "9").code == 0


def test_a_contract_that_knows_of_no_repair_is_not_adopted(shopkpi: Shopkpi) -> None:
    put_shop("shop", BAD)
    assert shopkpi("run", "shop").code == 0
    first = put("first.toml", shopkpi("contract", "show").out)
    old = 'user_id = { type = "integer", required = true }'
    strict = replaced(first.read_text(), old, old.replace(" }", ", min = 1 }"))
    put("strict.toml", strict)
    put("renamed.toml", replaced(strict, 'name = "default"', 'name = "strict"'))
    assert shopkpi("contract", "adopt", "strict.toml").code == 0
    assert shopkpi("contract", "adopt", "first.toml").code == 0
    shopkpi("rejects", "orders/1.csv", "--repair", "fix.csv")
    assert shopkpi("repair", correct("fix.csv", ROWS), "--format", "json").code == 0
    repaired = rows_of(shopkpi)
    done = shopkpi("contract", "adopt", "strict.toml")
    assert (done.code, "give the contract another name" in done.err) == (2, True), done.err
    assert rows_of(shopkpi) == repaired
    assert shopkpi("contract", "adopt", "renamed.toml").code == 0
    assert rows_of(shopkpi) == repaired
    assert counts(shopkpi) == [5, 4, 1, 106]


def test_a_refused_file_is_accepted_once_enough_rows_are_repaired(shopkpi: Shopkpi) -> None:
    rows = "".join(f"{number},1,x,2025-03-{number:02d}\n" for number in range(1, 10))
    put("shop/orders/1.csv", HEADER + rows + "10,1,x,nope\n11,1,x,no\n12,1,x,never\n")
    shopkpi("run", "shop")
    shopkpi("rejects", "1.csv", "--repair", "fix.csv")
    half = shopkpi("repair", correct("fix.csv", {"11": {"created_at": "2025-03-10"}}))
    assert half.code == 2
    assert "it would be refused all the same" in half.err
    both = {row: {"created_at": "2025-03-10"} for row in ("11", "12")}
    assert shopkpi("repair", correct("fix.csv", both), "--format", "json").code == 0
    assert len(rows_of(shopkpi)[0]) == 10


def replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: replaced(text, ";3;", ";4;"), "line 2: shopkpi_row was changed"),
        (lambda text: replaced(text, "-3-", "-5-").replace(";3;", ";5;"), "row 5 is not rejected"),
        (lambda text: replaced(text, text.split("-3-")[1][:16], "0" * 16), "other values"),
        (lambda text: text.replace(text.splitlines()[1][:16], "f" * 16), "source object in the"),
        (lambda text: replaced(text, "user_id", "customer"), "its columns are not those"),
        (lambda text: replaced(text, "shopkpi_id", "id"), "no sheet of a repair"),
        (lambda text: text + text.splitlines()[1] + "\n", "row 3 is in line 2 already"),
        (lambda text: replaced(text, ";3;", ";3;;;"), "does not have the columns of the sheet"),
        (lambda text: text.splitlines()[0] + "\n", "it has no rows"),
    ],
)
def test_a_row_that_does_not_fit_is_refused(
    shopkpi: Shopkpi, change: Callable[[str], str], problem: str
) -> None:
    put_shop("shop", BAD)
    assert shopkpi("run", "shop").code == 0
    shopkpi("rejects", "orders/1.csv", "--repair", "fix.csv")
    path = Path(correct("fix.csv", ROWS))
    path.write_text(change(path.read_text()))
    entries = shopkpi("ledger", "--format", "json").out
    done = shopkpi("repair", "fixed.csv")
    assert (done.code, problem in done.err) == (2, True), done.err
    assert shopkpi("ledger", "--format", "json").out == entries


def test_a_sheet_is_never_overwritten(shopkpi: Shopkpi) -> None:
    put_shop("shop", BAD)
    shopkpi("run", "shop")
    put("fix.csv", "mine")
    done = shopkpi("rejects", "orders/1.csv", "--repair", "fix.csv")
    assert (done.code, Path("fix.csv").read_text()) == (2, "mine")
    assert "there is a file of this name" in done.err


CONTRACT = HEAD + SHOP_ORDERS + SHOP_ITEMS + FILES
LINES = [f"{number},2025-03-0{1 + number % 3},A,1,2.00" for number in range(1, 60)]


def test_rows_of_several_datasets_in_another_encoding(shopkpi: Shopkpi) -> None:
    put("contract.toml", CONTRACT + 'encoding = "windows-1252"\n')
    bad = [*LINES[:9], "70,2025-03-01,Käse,zwei,3.00", "71,nie,B,1,4.00", *LINES[9:]]
    right = [*LINES[:9], "70,2025-03-01,Käse,2,3.00", "71,nie,B,1,4.00", *LINES[9:]]
    for folder, rows in (("shop", bad), ("right", right)):
        text = sales(*rows).replace(",", ";").encode("windows-1252")
        os.utime(put(f"{folder}/sales.csv", text), (1_750_000_000,) * 2)
    options = ("--contract", "contract.toml")
    assert shopkpi("run", "shop", *options).code == 0
    assert shopkpi("run", "right", *options, "--workspace", "other").code == 0
    shopkpi("rejects", "sales.csv", "--repair", "fix.csv")
    sheet = Path("fix.csv").read_text(encoding="utf-8-sig")
    assert "Käse" in sheet
    fixed = correct("fix.csv", {"11": {"Qty": "2"}, "12": {"Date": "never"}})
    assert shopkpi("repair", fixed, "--format", "json").code == 0
    assert counts(shopkpi, "sales.csv") == [2, 1, 1, 60]
    assert rows_of(shopkpi) == rows_of(shopkpi, "--workspace", "other")
    assert shopkpi("audit", "--recount", "9").code == 0


def test_records_of_json_are_corrected_as_they_are(shopkpi: Shopkpi) -> None:
    put("contract.toml", CONTRACT.replace("sales*.csv", "sales*.json"))
    header = ("Order", "Date", "SKU", "Qty", "Total")
    cells = [dict(zip(header, line.split(","), strict=True)) for line in LINES]
    lines = [str(one).replace("'", '"') for one in cells]
    lines[4] = lines[4].replace('"1"', '"one"')
    put("shop/sales.json", "\n".join(lines) + "\n")
    assert shopkpi("run", "shop", "--contract", "contract.toml").code == 0
    shopkpi("rejects", "sales.json", "--repair", "fix.csv")
    fixed = correct("fix.csv", {"5": {"record": lines[4].replace('"one"', "3")}})
    assert shopkpi("repair", fixed, "--format", "json").code == 0
    assert counts(shopkpi, "sales.json") == [1, 1, 0, 59]
    assert shopkpi("audit", "--recount", "9").code == 0


def test_an_erased_customer_is_in_no_correction(shopkpi: Shopkpi) -> None:
    rows = "".join(f"{number},1,x,2025-03-09\n" for number in range(100, 200))
    bad = HEADER + rows + "1,4711,x,nope\n2,4711,x,2025-03-01\n3,5,x,nope\n"
    put("shop/orders/1.csv", bad)
    assert shopkpi("run", "shop").code == 0
    shopkpi("rejects", "orders/1.csv", "--repair", "fix.csv")
    days = {"102": {"created_at": "2025-03-02"}, "104": {"created_at": "2025-03-03"}}
    assert shopkpi("repair", correct("fix.csv", days), "--format", "json").code == 0
    assert len(rows_of(shopkpi)[0]) == 4
    done = shopkpi("erase-customer", "4711", "--delete", "--format", "json")
    assert done.code == 0, done.err
    assert [one["order_date"] for one in rows_of(shopkpi)[0]] == ["2025-03-03", "2025-03-09"]
    assert shopkpi("audit", "--recount", "9").code == 0
    (corrections,) = Path(".shopkpi").rglob("*-corrections.parquet")
    assert [one["row"] for one in pq.read_table(corrections).to_pylist()] == [104]
    assert b"4711" not in b"".join(map(Path.read_bytes, Path(".shopkpi").rglob("*.parquet")))
