"""Every example in the help of every command."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.files import put
from tests.support.commands import Shopkpi, every_command
from tests.support.commands import shopkpi as run_command
from worker.sample import SampleSpec, write_sample


def examples() -> Iterator[tuple[str, str]]:
    """Every example of every command's help that needs no cloud, and that ends by itself."""
    for path, command in every_command():
        text = (command.help or "").replace("\\\n", " ")
        lines = re.findall(r"^\s*(shopkpi .*)$", text, re.MULTILINE)
        assert lines, f"{path} has no example"
        for line in lines:
            assert line.startswith(path), line
            if "://" not in line and path != "shopkpi watch":  # test_watch.py runs that one
                yield path, line


BERLIN = 'business_time_zone = "Europe/Berlin"'


def prepare(shopkpi: Shopkpi) -> str:
    """The files that the examples speak of; the id of one."""
    write_sample(Path("shop"), SampleSpec(orders=200, days=3, dirty=0.05))
    for name in ("shop/orders/monday.csv", "year/order_items/2025.csv"):
        put(name, (Path("shop") / "orders" / "orders_part1.csv").read_bytes())
    items = Path("shop/order_items/order_items_part1.csv").read_bytes()
    put("year/order_items/2025.csv", items)
    default = shopkpi("contract", "show").out
    put("berlin.toml", default.replace('business_time_zone = "UTC"', BERLIN))
    put("semicolons.toml", default.replace('null_values = [""]', 'null_values = ["", "-"]'))
    put("moved/orders/old.csv", "")
    put("my-contract.toml", shopkpi("contract", "show", "olist").out)
    put("downloads/orders.csv", "order_id,customer_id,order_date\n1,7,2025-03-01\n2,8,2025-03-02\n")
    put("downloads/items.csv", "order_id,sku,quantity,unit_price\n1,A,2,5.00\n2,B,1,7.50\n")
    put("shop.toml", shopkpi("contract", "infer", "downloads").out)
    assert shopkpi("run", "shop").code == 0
    assert shopkpi("rejects", "monday.csv", "--repair", "corrected.csv").code == 0
    (receipt,) = shopkpi("ledger", "monday.csv", "--format", "json").json
    return str(receipt["source_id"])


@dataclass(frozen=True)
class Prepared:
    """A folder as the examples find it, a copy of it, and ids of an upload and a customer in it."""

    home: Path
    saved: Path
    source_id: str
    customer: str

    def restore(self) -> None:
        """Make the folder as it was; ids of uploads hold its path."""
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(self.saved, self.home)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("help")
    home = folder / "home"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        source_id = prepare(partial(run_command, home))
    with (home / "shop/orders/orders_part1.csv").open(encoding="utf-8") as file:
        customer = next(csv.DictReader(file))["user_id"]
    return Prepared(home, Path(shutil.copytree(home, folder / "saved")), source_id, customer)


@pytest.mark.parametrize(("path", "example"), list(examples()))
def test_examples_of_the_help_can_be_run(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch, path: str, example: str
) -> None:
    prepared.restore()
    monkeypatch.chdir(prepared.home)
    shopkpi = partial(run_command, prepared.home)
    source_id = prepared.source_id
    words = shlex.split(example, comments=True)[1:]
    if ">" in words:
        words = words[: words.index(">")]
    words = [re.sub(r"^[0-9a-f]{16}$", source_id, word) for word in words]
    words = [prepared.customer if word == "4711" else word for word in words]
    if path == "shopkpi sample":
        words = [re.sub(r"^\d{7}$", "1000", word) for word in words]  # not the whole year
    if "monday.csv.gz" in example:
        Path("shop/orders/monday.csv").rename("shop/orders/monday.csv.gz")
    if "--range" in words:
        plan = shopkpi("plan", "year/order_items/2025.csv").json
        words[words.index("--range") + 1] = plan[0]["range"]
    if path == "shopkpi sample":
        words[1] = f"new {words[1]}"  # a folder of its own
    if "--infer" in words:
        words += ["--workspace", "new"]  # the other one has a contract
    done = shopkpi(*words)
    assert done.code == 0, done.err
