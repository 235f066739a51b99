"""The customer of an order: what determines a name, what joins a table of people, e-mails."""

from __future__ import annotations

from kpi.inference.contract import infer_contract
from tests.unit.kpi.inference.shop_samples import ROWS, flat, header_of, table_of

PEOPLE = [order * 7 % 17 for order, _ in ROWS]
NAMES = [("Ana Horvat", "Iva Novak", "Ivo Babic", "Eva Maric")[who % 4] for who in PEOPLE]
ALIKE = [f"Ana {'ABCDEFGHIJKLMN'[who % 14]}." for who in PEOPLE]
MAILS = [f"p{who}@example.com" for who in PEOPLE]
AMOUNTS = [f"{1 + order + line}.50" for order, line in ROWS]


def customer_of(**more: list[str]) -> str:
    table = table_of(flat(line_total=AMOUNTS, **more))
    return header_of(infer_contract([table], {}), "orders", "user_id")


def test_an_identifier_that_determines_a_name_is_the_customer() -> None:
    numbers = [str(400 + who) for who in PEOPLE]
    assert customer_of(zzkk=numbers, customer=ALIKE) == "zzkk"


def test_an_address_of_e_mail_that_determines_a_name_is_the_customer() -> None:
    assert customer_of(customer=NAMES, zzkk=MAILS) == "zzkk"


def test_what_is_much_finer_than_a_name_is_a_question() -> None:
    baskets = [str(900 + order // 2) for order, _ in ROWS]
    names = [f"Client {'ABCDEFGHIJ'[order // 2 % 10]}" for order, _ in ROWS]
    table = table_of(flat(line_total=AMOUNTS, customer=names, zzkk=baskets))
    (question,) = infer_contract([table], {}).questions
    assert question.word == "customer"
    assert list(question.answers) == ["none", "customer", "zzkk"]


def test_a_customer_that_is_an_identifier_stays() -> None:
    finer = [f"A{who}-{order % 2}" for who, (order, _) in zip(PEOPLE, ROWS, strict=True)]
    assert customer_of(customer_id=[f"c{who}" for who in PEOPLE], zzkk=finer) == "customer_id"


def test_addresses_of_e_mail_are_customers_whatever_their_header() -> None:
    assert customer_of(zzkk=MAILS) == "zzkk"


def test_few_addresses_of_e_mail_are_those_of_a_shop() -> None:
    assert customer_of(zzkk=[f"shop{at % 3}@example.com" for at in range(len(ROWS))]) == ""


def test_times_of_day_are_no_customers() -> None:
    times = [f"{9 + who % 9:02}:{who * 3:02}" for who in PEOPLE]
    inferred = infer_contract([table_of(flat(line_total=AMOUNTS, zzkk=times))], {})
    assert not inferred.questions


def test_a_key_of_a_table_of_people_is_the_customer() -> None:
    orders = table_of(flat(line_total=AMOUNTS, zzkk=[str(400 + who) for who in PEOPLE]))
    people = table_of(
        {
            "zzkk": [str(400 + who) for who in range(17)],
            "zzmm": [f"p{who}@example.com" for who in range(17)],
        },
        "zz.csv",
    )
    inferred = infer_contract([orders, people], {})
    assert header_of(inferred, "orders", "user_id") == "zzkk"
    assert "a key of zz.csv, which has people" in inferred.text
