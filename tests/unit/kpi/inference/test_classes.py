"""Categories in tables of classes behind the products, found by joins."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kpi.inference.contract import Inferred, infer_contract
from kpi.inference.samples import TableSample
from tests.unit.kpi.inference.test_evidence_of_values import asked, lines, sample, shop_of

PRODUCTS = 24
CLASSES = {7: "Tea", 8: "Cups", 9: "Lamps", 11: "Books"}
PEOPLE = [f"someone{at}@firm.example" for at in range(4)]


def shop(
    key: str,
    file: str,
    *,
    texts: bool = False,
    people: bool = False,
) -> list[TableSample]:
    """Lines, their products, and a table of classes below a key of the products."""
    sold = lines()
    sold["sku"] = [f"P{at % PRODUCTS}" for at in range(len(sold["sku"]))]
    codes: list[object] = [f"K{one}" if texts else one for one in CLASSES]
    of_product: dict[str, Sequence[object]] = {
        "sku": [f"P{at}" for at in range(PRODUCTS)],
        "nimi": [f"Asi {at}" for at in range(PRODUCTS)],
        key: [codes[at % 4] for at in range(PRODUCTS)],
    }
    of_class: dict[str, Sequence[object]] = {"kood": codes, "nimetus": list(CLASSES.values())}
    if people:
        of_class["kiri"] = list(PEOPLE)
    return [sample(sold), sample(of_product, "toodeted.csv"), sample(of_class, file)]


def word(number: int) -> str:
    """A text that is no number and no code."""
    return "Thing " + "abcdefghijklmnopqrstuvwxyz"[number]


def category(inferred: Inferred) -> str:
    column = shop_of(inferred).datasets["products"].columns["category"]
    return ", ".join(f"{one.reference}.{one.column}" for one in column.via)


@pytest.mark.parametrize("texts", [False, True], ids=["numbers", "texts"])
def test_a_class_of_products_by_its_header_is_the_category(*, texts: bool) -> None:
    inferred = infer_contract(shop("toodeteklass", "toodeteklassid.csv", texts=texts), {})
    assert category(inferred) == "toodeteklassid.nimetus"


@pytest.mark.parametrize("texts", [False, True], ids=["numbers", "texts"])
def test_another_table_of_classes_is_a_question(*, texts: bool) -> None:
    samples = shop("zzkk", "zzid.csv", texts=texts)
    assert asked(infer_contract(samples, {})) == ["category"]
    assert category(infer_contract(samples, {"category": "nimetus"})) == "zzid.nimetus"


def test_a_table_of_keys_that_few_products_have_has_no_classes() -> None:
    samples = shop("zzkk", "zzid.csv")
    codes, names = samples[-1].columns
    many = {
        "kood": [*codes, *range(1_000, 1_006)],
        "nimetus": [*names, *(f"Other {one}" for one in range(6))],
    }
    samples[-1] = sample(many, "zzid.csv")
    assert asked(infer_contract(samples, {})) == []


def test_a_table_of_nearly_as_many_rows_as_products_has_no_classes() -> None:
    samples = shop("zzkk", "zzid.csv")
    for rows, questions in ((16, ["category"]), (17, [])):
        of_product: dict[str, Sequence[object]] = dict(
            zip(("sku", "nimi", "zzkk"), samples[1].columns, strict=True)
        )
        of_product["zzkk"] = [str(50 + at % rows) for at in range(PRODUCTS)]
        classes: dict[str, Sequence[object]] = {
            "kood": [50 + at for at in range(rows)],
            "nimetus": [*map(word, range(rows))],
        }
        few = [samples[0], sample(of_product, "toodeted.csv"), sample(classes, "zzid.csv")]
        assert asked(infer_contract(few, {})) == questions


@pytest.mark.parametrize("repeated", ["kood", "nimetus"])
def test_classes_have_a_key_and_names_of_their_own(repeated: str) -> None:
    samples = shop("zzkk", "zzid.csv")
    codes, names = samples[-1].columns
    classes: dict[str, Sequence[object]] = {"kood": [*codes, codes[0]], "nimetus": [*names, "Toys"]}
    if repeated == "nimetus":
        classes = {"kood": [*codes, 12], "nimetus": [*names, names[0]]}
    samples[-1] = sample(classes, "zzid.csv")
    assert asked(infer_contract(samples, {})) == []


def test_classes_are_looked_for_at_most_two_steps_behind_a_product() -> None:
    samples = shop("toodeteklass", "toodeteklassid.csv")
    of_product: dict[str, Sequence[object]] = dict(
        zip(("sku", "nimi", "toodeteklass"), samples[1].columns, strict=True)
    )
    of_product["toodeteklass"] = [str(11 + at % 8) for at in range(PRODUCTS)]
    names = [*map(word, range(8))]
    classes: dict[str, Sequence[object]] = {
        "kood": [*range(11, 19)],
        "nimetus": names,
        "ylem": [31, 32, 33, 34] * 2,
    }
    above: dict[str, Sequence[object]] = {
        "kood": [31, 32, 33, 34],
        "osakond": names[:4],
        "maja": [41, 42, 41, 42],
    }
    samples[1:] = [
        sample(of_product, "toodeted.csv"),
        sample(classes, "toodeteklassid.csv"),
        sample(above, "ylemad.csv"),
        sample({"kood": [41, 42], "koht": ["Left", "Right"]}, "majad.csv"),
    ]
    (question,) = infer_contract(samples, {}).questions
    assert set(question.answers) == {"nimetus", "osakond", "none"}


def test_codes_of_which_some_are_numbers_are_keys_of_classes() -> None:
    samples = shop("zzkk", "zzid.csv")
    codes, names = samples[-1].columns
    samples[-1] = sample({"kood": [*codes, "X1"], "nimetus": [*names, "Toys"]}, "zzid.csv")
    assert asked(infer_contract(samples, {})) == ["category"]


def test_classes_of_classes_are_a_question() -> None:
    samples = shop("toodeteklass", "toodeteklassid.csv")
    classes = samples[-1]
    above: dict[str, Sequence[object]] = {"kood": [31, 32], "osakond": ["Drinks", "Things"]}
    samples[-1] = sample(
        {
            "kood": classes.columns[0],
            "nimetus": classes.columns[1],
            "ylem": [31, 31, 32, 32],
        },
        classes.name,
    )
    samples.append(sample(above, "ylemad.csv"))
    assert asked(infer_contract(samples, {})) == ["category"]
    found = category(infer_contract(samples, {"category": "osakond"}))
    assert found == "toodeteklassid.ylem, ylemad.osakond"


def test_a_table_of_firms_has_no_classes() -> None:
    inferred = infer_contract(shop("zzkk", "zzid.csv", people=True), {})
    assert asked(inferred) == []
    assert inferred.remarks


@pytest.mark.parametrize("header", ["stok zzkk", "product zzkk", "zzkk"])
@pytest.mark.parametrize("of_lines", [False, True], ids=["of products", "of lines"])
def test_a_group_of_products_without_a_known_word_is_a_question(
    header: str, *, of_lines: bool
) -> None:
    sold = lines()
    sold["sku"] = [f"P{at % PRODUCTS}" for at in range(len(sold["sku"]))]
    groups = list(CLASSES.values())
    of_product: dict[str, Sequence[object]] = {
        "sku": [f"P{at}" for at in range(PRODUCTS)],
        "nimi": [f"Asi {at}" for at in range(PRODUCTS)],
    }
    if of_lines:
        sold[header] = [groups[at % PRODUCTS % 4] for at in range(len(sold["sku"]))]
    else:
        of_product[header] = [groups[at % 4] for at in range(PRODUCTS)]
    assert asked(infer_contract([sample(sold), sample(of_product, "toodeted.csv")], {})) == [
        "category"
    ]
