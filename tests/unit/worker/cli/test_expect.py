"""Adopting another `[expect]` costs nothing: no day is computed, no checkpoint is made anew."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kpi.contract.loading import built_in, parse_contract
from tests.support.commands import shopkpi
from worker.index.checkpoint import identify_contract
from worker.state import Adoption, State
from worker.state.contract_in_force import contract_at
from worker.state.memory import MemoryState

EXPECT = '[expect]\nevery = "day"\nby = "09:00"\ndatasets = ["orders"]\n'
SHOP = """
language = 2
name = "till"
day = "as written"
[[files]]
match = "orders/*"
feeds = ["orders", "order_items"]
[orders]
[orders.columns]
order_id = "order_id"
created_at = "created_at"
[order_items]
key = "row"
[order_items.columns]
order_id = "order_id"
after_discount = "total"
"""
CONTRACTS = {"language 1": built_in().text, "language 2": SHOP}
OTHER = {
    "language 1": ('business_time_zone = "UTC"', 'business_time_zone = "Asia/Tokyo"'),
    "language 2": ("[orders]\n", '[orders]\nexcluded = { order_id = "9" }\n'),
}


def query(home: Path) -> list[dict[str, object]]:
    """Published rows, without what is not of the numbers."""
    rows: list[dict[str, object]] = shopkpi(home, "query", "orders").json
    assert len(rows) == 2
    return [
        {name: one[name] for name in one if name not in ("as_of", "state", "why", "published_at")}
        for one in rows
    ]


@pytest.mark.parametrize("language", CONTRACTS)
def test_no_day_is_computed_for_another_expectation(tmp_path: Path, language: str) -> None:
    folder = tmp_path / "shop" / "orders"
    folder.mkdir(parents=True)
    rows = "1,7,x,2025-03-01T20:00:00,5\n2,7,x,2025-03-02T20:00:00,6\n"
    (folder / "1.csv").write_text(f"order_id,user_id,status,created_at,total\n{rows}")
    text = CONTRACTS[language]
    bare, expecting, other = (tmp_path / f"{name}.toml" for name in ("bare", "expect", "other"))
    bare.write_text(text)
    expecting.write_text(text + EXPECT)
    other.write_text(text.replace(*OTHER[language]) + EXPECT)
    assert shopkpi(tmp_path, "run", "shop", "--contract", str(bare)).code == 0
    before = query(tmp_path)

    adopted, published = shopkpi(tmp_path, "contract", "adopt", str(expecting)).events
    assert [one for one in adopted["differences"] if "by: not there -> '09:00'" in one]
    assert published["event"] == "kpis.published"
    assert (published["as_of"], published["days"], published["clean_bytes_read"]) == (3, 0, 0)
    assert query(tmp_path) == before

    _, published = shopkpi(tmp_path, "contract", "adopt", str(other)).events
    assert published["days"] >= 2


async def adopt(state: State, text: str) -> str:
    """Adopt a contract, and return what the index takes it for."""
    contract = parse_contract(text, source="test")
    last = await state.adoption()
    await state.adopt(
        Adoption(
            digest=contract.digest,
            text=text,
            tables=("order_kpis",),
            recorded_at=datetime(2025, 3, 1, tzinfo=UTC),
            replaces=0 if last is None else last.sequence,
        ),
        replaces=0 if last is None else last.sequence,
    )
    return identify_contract(await contract_at(state, await state.head(), built_in()))


@pytest.mark.parametrize("language", CONTRACTS)
async def test_what_derives_from_clean_rows_stays_under_another_expectation(language: str) -> None:
    state, text = MemoryState(), CONTRACTS[language]
    bare = await adopt(state, text)
    assert await adopt(state, text + EXPECT) == bare
    assert await adopt(state, text + EXPECT.replace("09:00", "10:00")) == bare
    assert await adopt(state, text) == bare
    other = await adopt(state, text.replace(*OTHER[language]))
    assert other != bare
    assert await adopt(state, text.replace(*OTHER[language]) + EXPECT) == other
