"""Raw files from which a customer is erased: same versions, same KPIs, no id left."""

from __future__ import annotations

import bz2
import gzip
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kpi.contract.folding import BLANKS
from kpi.contract.loading import built_in
from kpi.erasure.digests import Digests
from kpi.erasure.raw_records import RawEraser, raw_columns
from kpi.erasure.rows import FOREVER, NEVER, Subjects
from tests.erasure.places import mentions
from tests.erasure.shop import CUSTOMER, FILES, put_shop
from tests.erasure.test_erase_customer import BEFORE, DELETED, STORED, erase, orders
from tests.support.commands import Shopkpi

SECRET = b"s" * 32


def subjects(*customers: str, orders: tuple[str, ...] = ()) -> Subjects:
    known = Digests(SECRET, "customer")
    return Subjects(
        customers=Digests(SECRET, "customer", map(known.of, customers)),
        deleted_until=((FOREVER if orders else NEVER),) * len(customers),
        orders=Digests(SECRET, "order", map(Digests(SECRET, "order").of, orders)),
    )


def erased(text: str, whom: Subjects, path: str = "orders/a.csv") -> tuple[str, RawEraser]:
    eraser = RawEraser(whom, raw_columns(built_in(), path))
    lines = text.encode().splitlines(keepends=True)
    return b"".join(eraser.erase(lines)).decode(), eraser


def test_only_records_of_the_customer_change() -> None:
    text = (
        "order_id,user_id,name,status,created_at\r\n"
        '1,7,"Ann\nLee",shipped,2025-01-01\r\n'
        "7,8,7,shipped,2025-01-01\r\n"
        '2,"007",x,"a, b",2025-01-01\n'
        '3,8,"open,shipped,2025-01-01\n'
        "4,7,y,shipped,2025-01-01\n"
        "5,7,too,many,cells,here\n"
        "6,8,z,shipped,2025-01-01"
    )
    found, eraser = erased(text, subjects("7"))
    lines = found.split("\n")
    pseudonym = lines[1].split(",")[1]
    assert int(pseudonym) >= 2**62
    assert lines[1] == f"1,{pseudonym},,shipped,2025-01-01\r"
    assert lines[2] == "7,8,7,shipped,2025-01-01\r"  # an order, and a name, of another customer
    assert lines[3] == f'2,{pseudonym},,"a, b",2025-01-01'
    assert lines[4:] == [
        '3,8,"open,shipped,2025-01-01',
        f"4,{pseudonym},,shipped,2025-01-01",
        "6,8,z,shipped,2025-01-01",
    ]
    assert (eraser.changed, eraser.unknown) == (4, 0)


def test_an_id_is_found_among_all_blanks() -> None:
    rows = "".join(f"{n},{blank}7{blank},shipped\n" for n, blank in enumerate(BLANKS[5:]))
    found, eraser = erased(f"order_id,user_id,status\n{rows}", subjects("7"))
    assert eraser.changed == len(BLANKS) - 5
    assert not any(line.split(",")[1].strip(BLANKS) == "7" for line in found.splitlines() if line)


def test_records_of_deleted_orders_are_removed() -> None:
    text = "id,order_id,user_id,sale_price\n1,5,8,1.0\n2,6,7,1.0\n3,6,,2.0\n"
    found, eraser = erased(text, subjects("7", orders=("6",)), "order_items/a.csv")
    assert found == "id,order_id,user_id,sale_price\n1,5,8,1.0\n"
    assert eraser.changed == 2


def test_a_file_without_a_known_header_is_named() -> None:
    text = "a;b\n1;7\n2;8\n"
    found, eraser = erased(text, subjects("7", orders=("8",)))
    assert found == text
    assert (eraser.changed, eraser.unknown) == (0, 1)
    assert erased("id,category\n7,Shirts\n", subjects("7"), "products/a.csv")[1].unknown == 0


@pytest.mark.parametrize(
    ("option", "after"), [("--pseudonymise", BEFORE), ("--delete", DELETED)], ids=["-p", "-d"]
)
def test_raw_files_are_rewritten_and_stay_the_same_uploads(
    tmp_path: Path, shopkpi: Shopkpi, option: str, after: list[str]
) -> None:
    shop = put_shop(tmp_path)
    packed = shop / "orders" / "c.csv.gz"
    packed.write_bytes(gzip.compress(FILES["orders/b.csv"].encode()))
    (shop / "orders" / "refused.csv").write_text(f"a,b\n1,{CUSTOMER}\n")
    assert shopkpi("run", "shop", "--kpis", "order,category,product").code == 0
    shopkpi("archive", "shop/order_items/a.csv", "--to", "moved")
    assert orders(shopkpi) == BEFORE

    event = erase(shopkpi, option, "--raw", "shop", "--raw", "moved")
    assert len(event["raw_files"]) == 4  # type: ignore[arg-type]
    assert [Path(url).name for url in event["raw_left"]] == ["refused.csv"]  # type: ignore[attr-defined]
    assert orders(shopkpi) == after
    (shop / "orders" / "refused.csv").unlink()
    assert mentions(CUSTOMER, [STORED, shop, Path("moved")]) == []
    assert shopkpi("audit", "--recount", "9").code == 0

    # The same uploads: nothing is counted twice, or as later than it was.
    for _ in range(2):
        done = shopkpi("run", "shop", "--format", "json")
        assert orders(shopkpi) == after
        assert shopkpi("audit", "--recount", "9").code == 0
    assert not [one for one in done.events if one["event"] == "source.committed"]
    again = erase(shopkpi, option, "--raw", "shop", "--raw", "moved")
    assert again["raw_files"] == {}

    # And they serve for another contract.
    shown = shopkpi("contract", "show").out
    Path("other.toml").write_text(shown.replace("max_bytes = 256", "max_bytes = 200"))
    done = shopkpi("contract", "adopt", "other.toml", "--raw", "moved", "--format", "json")
    assert done.code == 0, done.err
    assert orders(shopkpi) == after
    assert mentions(CUSTOMER, [STORED, shop, Path("moved")]) == []
    assert shopkpi("audit", "--recount", "9").code == 0


def test_a_dry_run_counts_records_of_raw_files_and_leaves_them(
    tmp_path: Path, shopkpi: Shopkpi
) -> None:
    shop = put_shop(tmp_path)
    shopkpi("run", "shop")
    (shop / "orders" / "lines.jsonl").write_text(f'{{"order_id": 1, "user_id": {CUSTOMER}}}\n')
    pq.write_table(pa.table({"user_id": [int(CUSTOMER)]}), shop / "orders" / "x.parquet")
    files = {path: path.read_bytes() for path in shop.rglob("*.*")}
    done = shopkpi("erase-customer", CUSTOMER, "--dry-run", "--raw", "shop", "--format", "json")
    assert "8 records of 3 raw files would be rewritten or removed:" in done.err
    assert f"{shop}/orders/b.csv: 2" in done.err
    for name in ("lines.jsonl", "x.parquet"):
        assert f"{shop}/orders/{name} would be left: " in done.err
    assert {path: path.read_bytes() for path in shop.rglob("*.*")} == files
    event = erase(shopkpi, "--raw", "shop")
    assert sum(event["raw_files"].values()) == 8  # type: ignore[attr-defined]
    left = event["raw_left"]
    assert [Path(url).name for url in left] == ["lines.jsonl", "x.parquet"]  # type: ignore[attr-defined]
    assert all("put an export without" in one for one in left.values())  # type: ignore[attr-defined]


@pytest.mark.parametrize("option", ["--pseudonymise", "--delete"])
def test_an_erasure_is_repeated_after_a_restoration(
    tmp_path: Path, shopkpi: Shopkpi, option: str
) -> None:
    shop = put_shop(tmp_path)
    shopkpi("run", "shop")
    shutil.copytree(STORED, "copy")
    erase(shopkpi, option, "--raw", "shop")
    after = orders(shopkpi)
    shutil.rmtree(STORED)
    shutil.move("copy", STORED)
    assert mentions(CUSTOMER, [STORED])
    erase(shopkpi, option, "--raw", "shop")
    for _ in range(2):
        assert orders(shopkpi) == after
        assert mentions(CUSTOMER, [STORED, shop]) == []
        assert shopkpi("audit", "--recount", "9").code == 0
        assert shopkpi("run", "shop").code == 0


def test_compressions_stay(tmp_path: Path, shopkpi: Shopkpi) -> None:
    put_shop(tmp_path)
    shopkpi("run", "shop")
    data = FILES["orders/b.csv"].encode()
    (tmp_path / "other").mkdir()
    paths = {codec: tmp_path / "other" / f"x.{codec}" for codec in ("zstd", "bz2", "lz4")}
    for codec, path in paths.items():
        path.write_bytes(bz2.compress(data) if codec == "bz2" else bytes(_packed(data, codec)))
    event = erase(shopkpi, "--raw", "other")
    assert event["raw_files"] == {f"file://{path}": 2 for path in paths.values()}
    for codec, path in paths.items():
        with pa.CompressedInputStream(pa.OSFile(str(path)), codec) as stream:
            text = stream.read().decode()
        assert text.count("\n") == 3
        assert CUSTOMER not in text


def _packed(data: bytes, codec: str) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as stream:
        stream.write(data)
    return sink.getvalue()
