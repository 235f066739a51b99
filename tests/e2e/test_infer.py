"""Contracts that are inferred from files, from the command line."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from tests.e2e.files import put
from tests.formats.writers import as_workbook
from tests.support.commands import Shopkpi

PAGE = (Path(__file__).parents[2] / "docs" / "language.md").read_text("utf-8")
ORDERS, LINES = re.findall(
    r"```csv\n(.*?)```", PAGE.split("## A contract from files")[1], re.DOTALL
)


def put_example() -> None:
    put("in/auftraege.csv", ORDERS)
    put("in/positionen.csv", LINES)


def infer_and_run(shopkpi: Shopkpi) -> None:
    """Take the contract that is inferred for the folder `in`, and run it."""
    Path("c.toml").write_text(shopkpi("contract", "infer", "in").out)
    assert shopkpi("run", "in", "--contract", "c.toml").code == 0


def revenue(shopkpi: Shopkpi, *options: str) -> dict[str, str]:
    rows = shopkpi("query", "orders", "--format", "json", *options).json
    return {row["order_date"]: row["total_revenue"] for row in rows}


def test_the_example_of_the_page_is_what_infer_prints(shopkpi: Shopkpi) -> None:
    put_example()
    out = shopkpi("contract", "infer", "in").out
    (shown,) = re.findall(r"it makes\n\n```\n(.*?)```", PAGE, re.DOTALL)
    assert shown in out


def test_run_infer_publishes_and_keeps_the_contract(shopkpi: Shopkpi) -> None:
    put_example()
    first = shopkpi("run", "in", "--infer", "--format", "json")
    assert next(one["event"] for one in first.events) == "contract.inferred"
    assert revenue(shopkpi) == {"2025-03-31": "22.50", "2025-04-02": "15.00"}
    again = shopkpi("run", "in", "--infer", "--format", "json")
    assert "contract.inferred" not in [one["event"] for one in again.events]


def test_an_open_order_of_day_and_month_is_a_question(shopkpi: Shopkpi) -> None:
    put_example()
    orders = ORDERS.replace("31.03.2025", "01/03/2025").replace("02.04.2025", "02/04/2025")
    put("in/auftraege.csv", orders)
    asked = shopkpi("contract", "infer", "in")
    assert asked.code == 2
    assert asked.out == ""
    assert '--answer "dates=31/12/2025" (the day)' in asked.err
    answered = shopkpi("contract", "infer", "in", "--answer", "dates=12/31/2025")
    assert 'dates = ["12/31/2025"]' in answered.out
    refused = shopkpi("run", "in", "--infer")
    assert refused.code == 2
    assert not Path(".shopkpi").exists()


def test_a_year_of_two_digits_that_may_come_first_is_a_question(shopkpi: Shopkpi) -> None:
    put(
        "in/sales.csv",
        "order_id,date,total\n1,25-03-03,15.00\n2,25-03-04,10.00\n3,25-03-05,10.00\n"
        "4,25-03-07,10.00\n5,25-03-14,10.00\n",
    )
    assert shopkpi("run", "in", "--infer").code == 2
    asked = shopkpi("contract", "infer", "in")
    assert asked.code == 2
    assert '--answer "dates=25-12-31" (the year)' in asked.err
    assert '--answer "dates=31-12-25" (the day)' in asked.err
    shopkpi("run", "in", "--infer", "--answer", "dates=25-12-31")
    assert list(revenue(shopkpi)) == [f"2025-03-{day}" for day in ("03", "04", "05", "07", "14")]


def test_several_currencies_are_never_added(shopkpi: Shopkpi) -> None:
    put(
        "in/sales.csv",
        "order_id,order_date,currency,sku,quantity,unit_price\n"
        "1,2025-03-01,EUR,A,1,5.00\n2,2025-03-01,USD,A,1,5.00\n3,2025-03-02,EUR,B,2,7.00\n",
    )
    asked = shopkpi("contract", "infer", "in")
    assert asked.code == 2
    assert "currency=EUR" in asked.err
    Path("c.toml").write_text(shopkpi("contract", "infer", "in", "--answer", "currency=EUR").out)
    assert shopkpi("run", "in", "--contract", "c.toml").code == 0
    rows = shopkpi("query", "orders", "--format", "json").json
    assert [(row["total_revenue"], row["other_currency_orders"]) for row in rows] == [
        ("5.00", 1),
        ("14.00", 0),
    ]


def test_unquoted_decimal_commas_are_refused(shopkpi: Shopkpi) -> None:
    put_example()
    put("in/positionen.csv", LINES.replace(";", ","))
    refused = shopkpi("contract", "infer", "in")
    assert refused.code == 2
    assert "decimal commas" in refused.err


def test_a_file_that_is_not_needed_is_not_refused(shopkpi: Shopkpi) -> None:
    put_example()
    put("in/notes.csv", "Titel;Text\na;b\nc;d\n")
    Path("c.toml").write_text(shopkpi("contract", "infer", "in").out)
    events = shopkpi("run", "in", "--contract", "c.toml", "--format", "json").events
    ignored = [one["url"].rpartition("/")[2] for one in events if one["event"] == "input.ignored"]
    assert ignored == ["notes.csv"]
    assert not [one for one in events if one.get("verdict") == "refused"]


def test_check_against_prints_shapes_and_keeps_nothing(shopkpi: Shopkpi) -> None:
    put_example()
    Path("c.toml").write_text(shopkpi("contract", "infer", "in").out)
    before = sorted(Path().iterdir())
    done = shopkpi("contract", "check", "c.toml", "--against", "in")
    assert done.code == 0
    assert "order_kpis: 2 rows, 2025-03-31 to 2025-04-02" in done.out
    assert sorted(Path().iterdir()) == before
    put("in/auftraege.csv", "a;b\n1;2\n")
    assert shopkpi("contract", "check", "c.toml", "--against", "in").code == 2


def test_an_unknown_folder_names_the_command_to_run(shopkpi: Shopkpi) -> None:
    put_example()
    refused = shopkpi("run", "in")
    assert refused.code == 2
    assert "shopkpi contract infer" in refused.err
    assert not Path(".shopkpi").exists()


def test_an_answer_that_nothing_asks_for_is_an_error(shopkpi: Shopkpi) -> None:
    put_example()
    done = shopkpi("contract", "infer", "in", "--answer", "colour=red")
    assert done.code == 2
    assert "colour" in done.err


def test_a_row_of_totals_below_a_report_is_passed_over(shopkpi: Shopkpi) -> None:
    put(
        "in/report.csv",
        "Sales report;;;;\n\nOrder no;Date;Item;Quantity;Line total\n"
        "1;2025-03-01;A;2;10.00\n1;2025-03-01;B;1;5.00\n2;2025-03-02;A;1;5.00\nTotal;;;;20.00\n",
    )
    infer_and_run(shopkpi)
    assert revenue(shopkpi) == {"2025-03-01": "15.00", "2025-03-02": "5.00"}


def test_the_time_of_the_last_change_tells_the_later_row(shopkpi: Shopkpi) -> None:
    orders = "order_id,order_date,status,updated_at\n"
    put(
        "in/orders.csv",
        orders
        + "1,2025-03-01,refunded,2025-03-09 10:00:00\n2,2025-03-01,paid,2025-03-01 10:00:00\n",
    )
    put("in/order_items.csv", "order_id,sku,quantity,unit_price\n1,A,1,5.00\n2,B,1,7.00\n")
    out = shopkpi("contract", "infer", "in").out
    assert 'version = "updated_at"' in out


def test_plain_quotes_of_a_tab_separated_file_are_kept(shopkpi: Shopkpi) -> None:
    put(
        "in/sales.txt",
        "order-id\tpurchase-date\tproduct-name\tsku\tquantity\titem-price\n"
        '1\t2025-03-01\t"Original" Mug\tA\t1\t5.00\n2\t2025-03-02\t"Mug\tB\t2\t5.00\n',
    )
    out = shopkpi("contract", "infer", "in").out
    assert 'quote = ""' in out


def test_json_lines_are_inferred(shopkpi: Shopkpi) -> None:
    put(
        "in/sales.jsonl",
        '{"order_id":"1","order_date":"2025-03-01","sku":"A","quantity":2,"unit_price":5.5}\n'
        '{"order_id":"2","order_date":"2025-03-02","sku":"B","quantity":1,"unit_price":7.0}\n',
    )
    infer_and_run(shopkpi)
    assert revenue(shopkpi) == {"2025-03-01": "11.00", "2025-03-02": "7.00"}


def test_a_time_in_another_file_gives_the_day(shopkpi: Shopkpi) -> None:
    put("in/dates.csv", "date_id,date\n11,2025-03-01\n12,2025-03-02\n")
    put(
        "in/sales.csv",
        "sale_id,date_id,product_id,customer_id,quantity,total_amount\n"
        "1,11,5,8,2,10.50\n2,12,5,9,1,5.25\n3,12,6,8,4,8.00\n",
    )
    infer_and_run(shopkpi)
    assert revenue(shopkpi) == {"2025-03-01": "10.50", "2025-03-02": "13.25"}


def test_a_workbook_is_inferred_and_run_in_one_step(shopkpi: Shopkpi) -> None:
    rows = [
        {"Order": str(number), "Date": f"2025-03-0{number % 3 + 1}", "SKU": "A", "Total": "5.25"}
        for number in range(1, 40)
    ]
    Path("shop").mkdir()
    Path("shop/sales.xlsx").write_bytes(as_workbook(rows, ("Total",)))
    done = shopkpi("run", "shop", "--infer", "--format", "json")
    assert done.code == 0, done.err
    days = shopkpi("query", "orders", "--format", "json").json
    assert sum(day["total_orders"] for day in days) == 39


def test_files_of_no_known_layout_name_the_command_to_run(shopkpi: Shopkpi) -> None:
    put_example()
    refused = shopkpi("run", "in")
    assert refused.code == 2
    (command,) = set(re.findall("`shopkpi (run [^`]* --infer)`", refused.err))
    assert not Path(".shopkpi").exists()
    assert shopkpi(*command.split()).code == 0


def test_run_infer_asks_on_a_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    orders = ORDERS.replace("31.03.2025", "01/03/2025").replace("02.04.2025", "02/04/2025")
    (folder / "auftraege.csv").write_text(orders)
    (folder / "positionen.csv").write_text(LINES)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "worker", "run", "in", "--infer", "--settle", "0"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        shown = ""
        answered = False
        while True:
            try:
                shown += os.read(ours, 4096).decode()
            except OSError:  # the terminal is closed by the end of the process
                break
            if not answered and "Number" in shown:
                os.write(ours, b"2\n")
                answered = True
    os.close(ours)
    assert process.returncode == 0, shown
    assert "no day above 12" in shown
    assert 'dates = ["12/31/2025"]' in shown


def test_what_stands_in_comments_alone_is_told(shopkpi: Shopkpi) -> None:
    """A discount of whole orders changes the revenue, and only somebody knows whether it should."""
    put("in/orders.csv", "order_id,order_date,discount\n1,2025-03-01,1.00\n2,2025-03-02,2.00\n")
    put("in/items.csv", "order_id,sku,quantity,line_total\n1,A,1,5.00\n1,B,2,8.00\n2,A,3,15.00\n")
    done = shopkpi("contract", "infer", "in")
    assert '# discount = "discount"' in done.out
    told = [line for line in done.err.splitlines() if line.startswith("left out, in a comment: ")]
    assert [line.split(": ")[1] for line in told] == ['[orders.columns] discount = "discount"']
