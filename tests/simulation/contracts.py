"""Contracts that are adopted in histories, one after the other."""

from __future__ import annotations

from kpi.contract.loading import parse_contract
from kpi.contract.model import Contract
from tests.simulation.model import Meaning

# Columns that no KPI reads are left out: they would only cost time.
CONTRACT = parse_contract(
    """
    name = "simulation"

    [limits]
    max_reject_rate = 0.5

    [orders]
    key = ["order_id"]

    [orders.columns]
    order_id = { type = "integer", required = true }
    user_id = { type = "integer", required = true }
    status = { type = "string" }
    created_at = { type = "timestamp", required = true }
    num_of_item = { type = "integer" }

    [order_items]
    key = ["id"]

    [order_items.columns]
    id = { type = "integer", required = true }
    order_id = { type = "integer", required = true }
    product_id = { type = "integer", required = true }
    status = { type = "string" }
    sale_price = { type = "decimal", precision = 15, scale = 2, required = true, min = 0 }

    [products]
    key = ["id"]

    [products.columns]
    id = { type = "integer", required = true }
    category = { type = "string", required = true }
    """,
    source="simulation",
)


def _with_time(name: str, setting: str) -> Contract:
    text = CONTRACT.text.replace('"simulation"', f'"{name}"')
    return parse_contract(
        text.replace("[limits]", f"[time]\n    {setting}\n\n    [limits]"), source=name
    )


LANGUAGE_2 = parse_contract(
    """
    language = 2
    name = "language 2"
    day = "UTC"

    [limits]
    max_reject_rate = 0.5

    [[files]]
    match = "orders/*"
    feeds = ["orders"]
    delimiter = ","

    [[files]]
    match = "order_items/*"
    feeds = ["order_items"]
    delimiter = ","

    [[files]]
    match = "products/*"
    feeds = ["products"]
    delimiter = ","

    [orders]
    returned = { status = "returned" }

    [orders.columns]
    order_id = "order_id"
    user_id = { from = "user_id", required = true }
    status = "status"
    created_at = "created_at"

    [order_items]
    key = "id"

    [order_items.columns]
    id = "id"
    order_id = "order_id"
    product_id = "product_id"
    after_discount = "sale_price"

    [products.columns]
    id = "id"
    category = { from = "category", required = true }
    """,
    source="language 2",
)
"""A line has no status of its own: its order's counts."""

LOOKED_UP = parse_contract(
    LANGUAGE_2.text.replace('"language 2"', '"looked up"')
    .replace('match = "order_items/*"', 'match = "order_items/*"\n    replaces = "file"')
    .replace("[orders]\n", '[orders]\n    deleted = { status = "" }\n')
    .replace('key = "id"', 'key = "order"')
    .replace('    id = "id"\n    order_id', "    order_id")
    .replace(
        "after_discount",
        'category = { from = "product_id", via = "products.category", required = true }\n'
        "    after_discount",
    ),
    source="looked up",
)
"""See `tests.simulation.model.Meaning.looked_up`."""

MEANINGS = {
    "simulation": Meaning(),
    "Berlin's days": Meaning(hours=1),
    "Berlin's times": Meaning(hours=-1),
    "whole files": Meaning(whole=True),
    "versions": Meaning(by_version=True),
    "language 2": Meaning(language_2=True),
    "looked up": Meaning(language_2=True, looked_up=True),
}
"""Name of a contract -> what it says. Hours are those of winter."""

CONTRACTS = (
    CONTRACT,
    # Clean rows are the same, days are not.
    _with_time("Berlin's days", 'business_time_zone = "Europe/Berlin"'),
    # Clean rows are others: every file is validated again.
    _with_time("Berlin's times", 'source_time_zone = "Europe/Berlin"'),
    # Clean rows are the same; which files count is not.
    parse_contract(
        'replaces = "file"\n' + CONTRACT.text.replace('"simulation"', '"whole files"'),
        source="whole files",
    ),
    # So are these; which row of a key is the later one is not.
    parse_contract(
        CONTRACT.text.replace('"simulation"', '"versions"')
        .replace("[orders]\n", '[orders]\n    version = "user_id"\n')
        .replace("[order_items]\n", '[order_items]\n    version = "product_id"\n'),
        source="versions",
    ),
    # Clean rows are others, and so is the code that computes days of them.
    LANGUAGE_2,
    LOOKED_UP,
)
