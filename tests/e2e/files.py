"""Files of a small shop, below the folder that a test works in."""

from __future__ import annotations

from pathlib import Path

ORDERS = "order_id,user_id,status,created_at\n"
ITEMS = "id,order_id,product_id,status,sale_price\n"


def put(name: str, content: str | bytes) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def put_shop() -> None:
    put("shop/products/1.csv", 'id,category\n1,Toys\n2,=HYPERLINK()\n3,-Sale\n4,"@home, 2"\n')
    put("shop/orders/1.csv", ORDERS + "1,7,returned,2025-03-01\n2,8,delivered,2025-03-02\n")
    rows = [
        (1, 1, 1, "5.00"),
        (2, 1, 2, "7.00"),
        (3, 2, 3, "0.10"),
        (4, 2, 4, "100"),
        (5, 2, 9, "3"),
    ]
    put("shop/order_items/1.csv", ITEMS + "".join(f"{a},{b},{c},,{d}\n" for a, b, c, d in rows))
