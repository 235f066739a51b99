"""A small shop with a customer whose id is like no other number of it."""

from __future__ import annotations

from pathlib import Path

CUSTOMER = "73500417"
OTHER = "8120"

ORDERS = "order_id,user_id,status,created_at,e_mail\n"
ITEMS = "id,order_id,user_id,product_id,status,created_at,sale_price\n"
PRODUCTS = "id,category\n5,Shirts\n"

FILES = {
    "orders/a.csv": ORDERS
    + f"1,{CUSTOMER},shipped,2025-03-01T10:00:00,x@y\n"
    + f"2,{OTHER},shipped,2025-03-01T11:00:00,a@b\n"
    + f"3,{CUSTOMER},returned,2025-03-01T12:00:00,x@y\n"
    + f"4,{OTHER},shipped,2025-03-02T10:00:00,a@b\n"
    + "".join(f"{one},1,shipped,2025-03-04T10:00:00,\n" for one in range(20, 60))
    + f"7,{CUSTOMER},shipped\n"
    + f"x,{CUSTOMER},shipped,2025-03-01T10:00:00,x@y\n",
    "orders/b.csv": ORDERS
    + f"3,{CUSTOMER},shipped,2025-03-01T12:00:00,x@y\n"
    + f"5,{CUSTOMER},shipped,2025-03-03T12:00:00,x@y\n",
    "order_items/a.csv": ITEMS
    + f"1,1,{CUSTOMER},5,,2025-03-01T10:00:00,10.00\n"
    + f"2,2,{OTHER},5,,2025-03-01T11:00:00,100.00\n"
    + "3,3,,5,,,1000.00\n"
    + f"4,4,{OTHER},5,,2025-03-02T10:00:00,3.00\n"
    + f"5,5,{CUSTOMER},5,,2025-03-03T12:00:00,7.00\n",
    "products/a.csv": PRODUCTS,
}


def put_shop(home: Path) -> Path:
    """Write the files of the shop."""
    for name, text in FILES.items():
        path = home / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return home / "shop"
