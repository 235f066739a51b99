"""Random shops: the truth, their files in some layout and dialect, and their KPIs by hand."""

from __future__ import annotations

import csv
import io
import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

HEADERS = {
    "en": (
        *("order_id", "customer_id", "order_date", "status", "product_id", "category"),
        *("quantity", "unit_price", "line_total", "discount", "shipped_date"),
    ),
    "de": (
        *("Bestellnummer", "Kundennummer", "Bestelldatum", "Status", "Artikelnummer"),
        *("Warengruppe", "Menge", "Einzelpreis", "Gesamtpreis", "Rabatt", "Lieferdatum"),
    ),
    "fr": (
        *("numero_commande", "id_client", "date_commande", "statut", "reference_produit"),
        *("categorie", "quantite", "prix_unitaire", "montant_total", "remise", "date_livraison"),
    ),
    "es": (
        *("id_pedido", "id_cliente", "fecha_pedido", "estado", "id_producto", "categoria"),
        *("cantidad", "precio_unitario", "importe_total", "descuento", "fecha_envio"),
    ),
    "it": (
        *("id_ordine", "id_cliente", "data_ordine", "stato", "id_prodotto", "categoria"),
        *("quantita", "prezzo_unitario", "importo_totale", "sconto", "data_spedizione"),
    ),
    "nl": (
        *("Bestelnummer", "Klantnummer", "Besteldatum", "Status", "Artikelnummer"),
        *("Categorie", "Aantal", "Stukprijs", "Totaalbedrag", "Korting", "Leverdatum"),
    ),
    "pl": (
        *("numer_zamowienia", "id_klienta", "data_zamowienia", "status", "id_produktu"),
        *("kategoria", "ilosc", "cena_jednostkowa", "wartosc", "rabat", "data_wysylki"),
    ),
    "sv": (
        *("Ordernummer", "Kundnummer", "Orderdatum", "Status", "Artikelnummer"),
        *("Kategori", "Antal", "Styckpris", "Radbelopp", "Rabatt", "Leveransdatum"),
    ),
    "tr": (
        *("siparis_no", "musteri_no", "siparis_tarihi", "durum", "urun_kodu"),
        *("kategori", "adet", "birim_fiyat", "toplam_tutar", "indirim", "teslim_tarihi"),
    ),
}
"""Language -> headers of the columns in `ROLES`, as shops of that language write them."""

ROLES = (
    *("order", "customer", "date", "status", "product", "category"),
    *("quantity", "price", "total", "discount", "shipped"),
)

RETURNED = {
    "en": "refunded",
    "de": "retourniert",
    "fr": "remboursé",
    "es": "devuelto",
    "it": "rimborsato",
    "nl": "geretourneerd",
    "pl": "zwrócone",
    "sv": "returnerad",
    "tr": "iade edildi",
}
SOLD = {
    "en": "completed",
    "de": "abgeschlossen",
    "fr": "livré",
    "es": "entregado",
    "it": "consegnato",
    "nl": "geleverd",
    "pl": "zrealizowane",
    "sv": "levererad",
    "tr": "teslim edildi",
}

CENT = Decimal("0.01")


@dataclass(frozen=True)
class Line:
    """A line of an order: what was sold, and for how much."""

    product: int
    quantity: int
    price: Decimal
    discount: Decimal


@dataclass(frozen=True)
class Order:
    """An order with its lines."""

    number: int
    customer: int
    day: date
    returned: bool
    lines: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a shop writes its files."""

    language: str
    layout: str
    delimiter: str
    decimal: str
    date_form: str
    encoding: str
    money: str
    text_ids: bool


@dataclass(frozen=True)
class Shop:
    """A shop: its style, its orders, and the files that it writes."""

    style: Style
    orders: tuple[Order, ...]
    prices: tuple[Decimal, ...]
    files: dict[str, bytes] = field(default_factory=dict)


def make_shop(seed: int) -> Shop:
    """Make a shop of some orders in a random style."""
    draw = random.Random(seed)
    layout = draw.choice(["pair", "products", "flat", "price in products"])
    money = draw.choice(["unit", "total", "unit and total", "rate", "amount"])
    if layout == "price in products":
        money = draw.choice(["unit", "rate"])
    decimal = draw.choice([".", ","])
    style = Style(
        language=draw.choice(sorted(HEADERS)),
        layout=layout,
        delimiter=draw.choice([";", "\t", "|"] if decimal == "," else [",", ";", "\t", "|"]),
        decimal=decimal,
        date_form=draw.choice(["%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y-%m-%d %H:%M"]),
        encoding=draw.choice(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
        money=money,
        text_ids=draw.random() < 0.3,
    )
    if style.language in ("pl", "tr") and style.encoding == "cp1252":
        style = Style(**{**style.__dict__, "encoding": "utf-8"})
    prices = tuple(Decimal(draw.randint(150, 99_999)) / 100 for _ in range(15))
    orders = tuple(_order(draw, 1001 + number, prices, money) for number in range(60))
    shop = Shop(style, orders, prices)
    return Shop(style, orders, prices, _files(shop))


def _order(draw: random.Random, number: int, prices: tuple[Decimal, ...], money: str) -> Order:
    lines = []
    for product in draw.sample(range(len(prices)), draw.randint(1, 4)):
        quantity = draw.randint(1, 5)
        discount = Decimal(0)
        if money == "rate" and draw.random() < 0.5:
            discount = draw.choice([Decimal("0.05"), Decimal("0.1"), Decimal("0.2")])
        if money == "amount" and draw.random() < 0.5:
            discount = (prices[product] * quantity * Decimal("0.13")).quantize(CENT)
        lines.append(Line(product, quantity, prices[product], discount))
    day = date(2025, 1, 1) + timedelta(draw.randint(0, 80))
    return Order(number, draw.randint(1, 40), day, draw.random() < 0.2, tuple(lines))


def amount_of(line: Line, money: str) -> Decimal:
    """Money of a line after its discount, exactly."""
    before = line.price * line.quantity
    if money == "rate":
        return before * (1 - line.discount)
    return before - line.discount


def daily_kpis(shop: Shop) -> dict[str, tuple[int, Decimal, int, Decimal, int]]:
    """Compute orders, revenue, items, return rate and customers of each day."""
    by_day: dict[str, list[Order]] = {}
    for order in shop.orders:
        by_day.setdefault(order.day.isoformat(), []).append(order)
    kpis = {}
    for day, orders in by_day.items():
        lines = [line for order in orders for line in order.lines]
        revenue = sum((amount_of(one, shop.style.money) for one in lines), Decimal(0))
        returned = Decimal(sum(order.returned for order in orders)) / len(orders)
        kpis[day] = (
            len(orders),
            revenue.quantize(CENT, ROUND_HALF_EVEN),
            sum(line.quantity for line in lines),
            returned.quantize(Decimal("0.0001"), ROUND_HALF_EVEN),
            len({order.customer for order in orders}),
        )
    return kpis


class _Writer:
    """Writes tables in the style of a shop."""

    def __init__(self, style: Style) -> None:
        self.style = style
        self.names = dict(zip(ROLES, HEADERS[style.language], strict=True))

    def table(self, roles: list[str], rows: list[list[str]]) -> bytes:
        """Write one file."""
        out = io.StringIO()
        writer = csv.writer(out, delimiter=self.style.delimiter, lineterminator="\r\n")
        writer.writerow([self.names[role] for role in roles])
        writer.writerows(rows)
        return out.getvalue().encode(self.style.encoding)

    def money(self, amount: Decimal) -> str:
        """Write an amount."""
        return str(amount.quantize(CENT)).replace(".", self.style.decimal)

    def rate(self, share: Decimal) -> str:
        """Write a fraction."""
        return str(share).replace(".", self.style.decimal)

    def day(self, day: date) -> str:
        """Write a date."""
        return day.strftime(self.style.date_form)

    def order(self, number: int) -> str:
        """Write the identifier of an order."""
        return f"A-{number}" if self.style.text_ids else str(number)


def _files(shop: Shop) -> dict[str, bytes]:
    style, writer = shop.style, _Writer(shop.style)
    flat = style.layout == "flat"
    head = ["order", "customer", "date", "status", "shipped"]
    body = ["product", "quantity", *_money_roles(style)]
    if style.layout in ("flat", "pair"):
        body.insert(1, "category")
    orders, lines = [], []
    for order in shop.orders:
        status = (RETURNED if order.returned else SOLD)[style.language]
        of_order = [
            *(writer.order(order.number), str(order.customer), writer.day(order.day), status),
            writer.day(order.day + timedelta(3)),
        ]
        orders.append(of_order)
        for line in order.lines:
            cells = [f"P{line.product:03}", str(line.quantity), *_money_cells(line, writer)]
            if style.layout in ("flat", "pair"):
                cells.insert(1, f"K{line.product % 4}")
            lines.append((of_order if flat else of_order[:1]) + cells)
    if flat:
        return {"export.csv": writer.table(head + body, lines)}
    files = {
        "a.csv": writer.table(head, orders),
        "b.csv": writer.table(["order", *body], lines),
    }
    if style.layout in ("products", "price in products"):
        rows = [
            [f"P{at:03}", f"K{at % 4}", writer.money(price)] for at, price in enumerate(shop.prices)
        ]
        files["c.csv"] = writer.table(["product", "category", "price"], rows)
    return files


def _money_roles(style: Style) -> list[str]:
    if style.layout == "price in products":
        return ["discount"] if style.money == "rate" else []
    roles = {
        "unit": ["price"],
        "total": ["total"],
        "unit and total": ["price", "total"],
        "rate": ["price", "discount"],
        "amount": ["price", "discount", "total"],
    }
    return roles[style.money]


def _money_cells(line: Line, writer: _Writer) -> list[str]:
    money = writer.style.money
    cells = {
        "price": writer.money(line.price),
        "total": writer.money(amount_of(line, money)),
        "discount": writer.rate(line.discount) if money == "rate" else writer.money(line.discount),
    }
    return [cells[role] for role in _money_roles(writer.style)]
