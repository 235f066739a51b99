"""Encodings of texts that are no UTF-8, told by letters and words of headers."""

from __future__ import annotations

import pytest

from kpi.inference.encodings import find_encoding

TEXTS = {
    "cp1250": [
        "Numer zamówienia;Data;Miasto\n1;1.3.2025;Łódź\n2;2.3.2025;Gdańsk\n3;2.3.2025;Opole\n",
        "Číslo objednávky;Datum;Zboží\n1;1.3.2025;Žehlička\n2;1.3.2025;Kefír\n3;2.3.2025;Šťáva\n",
        "Rendelésszám;Dátum;Termék\n1;1.3.2025;Vízforraló\n2;1.3.2025;Hűtő\n3;1.3.2025;Fűnyíró\n",
        "Broj narudžbe;Kupac\n1;Ivančić\n2;Đurić\n3;Žužić\n",
        "Nr. comandă;Oraş\n1;Iaşi\n2;Constanţa\n3;Braşov\n",
    ],
    "cp1252": [
        "Bestellnummer;Größe\n1;groß\n2;mäßig\n3;schön\n",
        "N° commande;Désignation\n1;Théière\n2;Bûche de Noël\n3;Pâté\n",
        "Nº pedido;Artículo\n1;Piña\n2;Jamón ibérico\n3;Cigüeña\n",
        "Pöntun;Vara\n1;Þorskur\n2;Rúgbrauð\n3;Smjör\n",
    ],
    "cp1257": [
        "Dok. Nr.;Statuss;Prece\n1;Izpildīts;Špaktele\n2;Anulēts;Ģipsis\n3;Izpildīts;Ķieģelis\n",
        "Užsakymas;Prekė\n1;Šluota\n2;Žąsis\n3;Kėdė\n4;Ąžuolas\n",
        "Tšeki nr;Kaup\n1;Žilett\n2;Šokolaad\n3;Õlu\n4;Šampoon\n",
    ],
    "cp1254": ["Sipariş No;Ürün\n1;Kağ\u0131t\n2;Defter\n3;Güneş gözlüğü\n"],
    "iso8859-2": ["Číslo;Zboží\n1;Škoda\n2;Žehlička\n3;Šťáva\n4;Třešně\n"],
    "cp1251": ["Номер заказа;Товар\n1;Чайник\n2;Кружка\n"],
    "cp1253": ["Αριθμός;Προϊόν\n1;Καφές\n2;Τσάι\n"],
    "cp1255": ["מספר הזמנה;מוצר\n1;כיסא\n2;שולחן\n"],
    "cp1256": ["رقم الطلب;المنتج\n1;كرسي\n2;طاولة\n"],
    "cp874": ["เลขที่;สินค้า\n1;เก้าอี้\n2;โต๊ะ\n"],
}
"""Encoding -> files of languages that are written in it."""


@pytest.mark.parametrize(
    ("encoding", "text"), [(name, text) for name, texts in TEXTS.items() for text in texts]
)
def test_the_letters_of_one_language_tell_the_encoding(encoding: str, text: str) -> None:
    found = find_encoding(text.encode(encoding))
    assert text.encode(encoding).decode(found) == text, found
