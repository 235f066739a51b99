"""Layouts of several languages, encodings and formats: which header is read as what.

The files are small and made here; none is of the lists that the words of headers come from.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence

import pytest

from kpi.contract.forms import NumberForm
from kpi.contract.loading import parse_contract
from kpi.contract.shop import Shop
from kpi.inference.contract import infer_contract
from kpi.inference.samples import TableSample
from kpi.inference.text_files import sample_text
from worker.infer.json_sample import sample_objects

PRICES = (12.5, 1499.0, 3.2, 88.8)
"""Of products; products 0 and 2 are of the first category."""


def rows_of(
    states: Sequence[str],
    categories: Sequence[str],
    money: str = "{:.2f}",
    day: str = "{d}.03.2025",
) -> list[list[str]]:
    """Write twelve orders of two lines: number, day, customer, state, product ..., money."""
    rows = []
    for order in range(12):
        for line in range(2):
            product = (order + line) % 4
            pieces = 1 + (order * 3 + line) % 4
            cells = [f"{PRICES[product]:.2f}", f"{PRICES[product] * pieces:.2f}"]
            amounts = [money.format(float(one)) for one in cells]
            rows.append(
                [
                    *(str(7001 + order), day.format(d=f"{10 + order:02}"), f"K{order % 5}"),
                    *(states[order % 3], f"P-{product}", categories[product % 2], str(pieces)),
                    *amounts,
                ]
            )
    return rows


def text(headers: str, rows: Sequence[Sequence[str]], delimiter: str, encoding: str) -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows([headers.split("|"), *rows])
    return out.getvalue().encode(encoding)


def comma(amount: str) -> str:
    """Write 1,234.50 with a comma before the decimals."""
    return amount.translate(str.maketrans(",.", ".,"))


def with_commas(rows: list[list[str]], suffix: str = "") -> list[list[str]]:
    return [[*row[:7], *(comma(f"{float(one):,.2f}") + suffix for one in row[7:])] for row in rows]


def inferred(samples: Sequence[TableSample | None], answers: Mapping[str, str]) -> Shop:
    found = infer_contract([one for one in samples if one is not None], answers)
    assert not found.questions
    shop = parse_contract(found.text, source="test").shop
    assert shop is not None
    return shop


def header_of(shop: Shop, dataset: str, column: str) -> str | None:
    found = shop.datasets[dataset].columns.get(column)
    return found.headers[0] if found and found.headers else None


POLISH = "Nr zamówienia|Data zakupu|Klient|Status|Kod towaru|Kategoria|Sztuk|Cena|Wartość"
TURKISH = "Sipariş No|Sipariş Tarihi|Müşteri|Durum|Ürün Kodu|Kategori|Adet|Birim Fiyat|Tutar"
CZECH = "Číslo objednávky|Datum|Zákazník|Stav|Kód zboží|Kategorie|Počet kusů|Cena za kus|Celkem"
RUSSIAN = "Номер заказа|Дата|Клиент|Статус|Артикул|Категория|Количество|Цена|Сумма"
JAPANESE = "注文番号|注文日|会員ID|ステータス|商品コード|カテゴリ|数量|単価|小計"
CHINESE = "订单编号|下单时间|客户|订单状态|商品编码|类别|数量|单价|金额"
KOREAN = "주문번호|주문일시|고객|주문상태|상품코드|카테고리|수량|단가|금액"
CROATIAN = "Broj narudžbe|Datum|Kupac|Status|Proizvod|Kategorija|Količina|Cijena|Ukupno"

LAYOUTS = [
    # headers, delimiter, encoding, states (sold, sold, returned), categories, money
    (POLISH, ";", "cp1250", ("Wysłane", "Opłacone", "Zwrot"), ("Książki", "Żywność"), "zł"),
    (TURKISH, ";", "cp1254", ("Kargoda", "Ödendi", "İade edildi"), ("Giyim", "Çocuk"), "TL"),
    (CZECH, ";", "cp1250", ("Vyřízena", "Odeslána", "Vrácena"), ("Dílna", "Zahrada"), "comma"),
    (RUSSIAN, "\t", "cp1251", ("Доставлен", "Оплачен", "Возврат"), ("Книги", "Дом"), "comma"),
    (JAPANESE, ",", "shift_jis", ("発送済み", "完了", "返品"), ("食品", "雑貨"), "yen"),
    (CHINESE, ",", "gb18030", ("已完成", "已发货", "已退款"), ("图书", "家居"), "plain"),
    (KOREAN, ",", "cp949", ("배송완료", "완료", "반품완료"), ("식품", "도서"), "plain"),
    (CROATIAN, ";", "utf-16", ("Poslano", "Plaćeno", "Vraćeno"), ("Kuća", "Vrt"), "comma"),
]


@pytest.mark.parametrize(
    ("headers", "delimiter", "encoding", "states", "categories", "money"),
    LAYOUTS,
    ids=[one[2] + one[0][:3] for one in LAYOUTS],
)
def test_columns_are_told_in_other_languages_and_encodings(
    headers: str,
    delimiter: str,
    encoding: str,
    states: tuple[str, str, str],
    categories: tuple[str, str],
    money: str,
) -> None:
    rows = rows_of(states, categories)
    if money == "yen":
        rows = [[*row[:7], *(f"{round(float(one) * 100):,}" for one in row[7:])] for row in rows]
    elif money != "plain":
        rows = with_commas(rows, "" if money == "comma" else f" {money}")
    sample = sample_text("f.csv", "f.csv", text(headers, rows, delimiter, encoding), whole=True)
    shop = inferred([sample], {})
    names = headers.split("|")
    assert [header_of(shop, "orders", one) for one in ("order_id", "created_at", "user_id")] == (
        names[:3]
    )
    assert [header_of(shop, "order_items", one) for one in ("product_id", "category")] == names[4:6]
    assert header_of(shop, "order_items", "quantity") == names[6]
    assert header_of(shop, "order_items", "after_discount") == names[8]
    (condition,) = shop.datasets["orders"].returned or ()
    assert condition["status"].texts == states[2:]


def test_lines_in_a_list_of_each_order_are_the_rows() -> None:
    orders = [
        {
            "numero": order,
            "criado_em": f"2025-03-{10 + order}T10:00:00Z",
            "cliente": {"id": f"C{order % 3}"},
            "pagamentos": [{"tipo": "pix", "parcela": 1}],
            "itens": [
                {"sku": f"S{line}", "categoria": "Casa", "quantidade": 1 + line, "preco": "2.50"}
                for line in range(3)
            ],
        }
        for order in range(6)
    ]
    objects = json.loads(json.dumps(orders))
    sample = sample_objects("pedidos.json", "pedidos.json", objects, whole=True, max_rows=100)
    assert sample is not None
    assert sample.rows == 18
    shop = inferred([sample], {})
    assert shop.files[0].each == "itens"
    assert header_of(shop, "orders", "user_id") == "cliente.id"
    assert header_of(shop, "order_items", "unit_price") == "itens.preco"


def test_letters_before_a_number_are_no_currency() -> None:
    rows = [
        [f"ORD{row[0]}", *row[1:]] for row in rows_of(("Payée", "Livrée", "Retour"), ("X", "Y"))
    ]
    headers = "N° commande|Date|Client|Statut|Article|Famille|Qté|PU TTC|Montant"
    data = text(headers, with_commas(rows, " €"), ";", "utf-8")
    shop = inferred([sample_text("f.csv", "f.csv", data, whole=True)], {})
    assert header_of(shop, "orders", "order_id") == "N° commande"


def test_whole_numbers_of_things_are_quantities() -> None:
    rows = [[str(n), f"2025-03-{10 + n}", str(1 + n % 3), f"{5 + n}.00"] for n in range(9)]
    data = text("Order Number|Placed On|Items|Order Total", rows, ",", "utf-8")
    shop = inferred([sample_text("f.csv", "f.csv", data, whole=True)], {})
    assert header_of(shop, "order_items", "quantity") == "Items"


@pytest.mark.parametrize(
    ("amounts", "form"),
    [
        (("980", "1,250", "12,400", "3,300"), "1,234.50"),  # thousands: decimals stand in all
        (("98,50", "1,25", "12,4", "3,3"), "1234,50"),
    ],
)
def test_a_comma_groups_where_some_numbers_have_none(amounts: tuple[str, ...], form: str) -> None:
    rows = [[str(n), f"2025-03-{10 + n}", amount] for n, amount in enumerate(amounts)]
    data = text("order_id|order_date|total", rows, ";", "utf-8")
    shop = inferred([sample_text("f.csv", "f.csv", data, whole=True)], {})
    assert shop.files[0].numbers == NumberForm.of_example(form)


def test_a_comma_before_three_digits_in_all_numbers_is_a_question() -> None:
    rows = [[str(n), f"2025-03-{10 + n}", f"{n + 1},250"] for n in range(5)]
    data = text("order_id|order_date|total", rows, ";", "utf-8")
    sample = sample_text("f.csv", "f.csv", data, whole=True)
    assert sample is not None
    (question,) = infer_contract([sample], {}).questions
    assert set(question.answers) == {"1234,50", "1,234.50"}


ORDER_TOTALS = """order_id,date,customer,sku,qty,{header}
1,2025-03-13,c1,A,1,15.00
1,2025-03-13,c1,B,1,15.00
2,2025-03-14,c2,A,2,25.00
2,2025-03-14,c2,B,1,25.00
2,2025-03-14,c2,C,1,25.00
3,2025-03-15,c1,B,1,10.00
4,2025-03-15,c4,B,1,18.00
4,2025-03-15,c4,C,2,18.00
"""


@pytest.mark.parametrize("header", ["order_total", "total", "amount"])
def test_a_total_of_the_order_on_each_line_is_a_question(header: str) -> None:
    data = ORDER_TOTALS.format(header=header).encode()
    table = sample_text("f.csv", "f.csv", data, whole=True)
    assert table is not None
    (question,) = infer_contract([table], {}).questions
    assert question.word == "money"
    assert "one value on all lines of an order" in question.text
    assert header_of(inferred([table], {"money": "none"}), "order_items", "after_discount") is None


ORDER_DISCOUNTS = b"""order_id,date,customer,sku,qty,price,discount_total
1,2025-03-13,c1,A,1,10.00,5.00
1,2025-03-13,c1,B,1,15.00,5.00
2,2025-03-14,c2,A,2,10.00,0.00
2,2025-03-14,c2,B,2,15.00,0.00
3,2025-03-15,c1,B,3,15.00,3.33
4,2025-03-16,c1,B,3,15.00,1.17
"""


def test_a_discount_of_the_order_on_each_line_is_a_question() -> None:
    table = sample_text("f.csv", "f.csv", ORDER_DISCOUNTS, whole=True)
    assert table is not None
    (question,) = infer_contract([table], {}).questions
    assert question.word == "order_discount"
    shop = inferred([table], {"order_discount": "discount_total"})
    assert header_of(shop, "orders", "discount") == "discount_total"
    assert header_of(shop, "order_items", "discount") is None
