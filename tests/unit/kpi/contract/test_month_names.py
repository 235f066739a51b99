"""Names of months in the languages of Unicode's CLDR: which are read, and which mean two months."""

from __future__ import annotations

import random
import unicodedata

import numpy as np
import pyarrow as pa
import pytest

from kpi.contract.forms import DateForm
from kpi.contract.loading import parse_contract
from kpi.contract.month_names import (
    AmbiguousNameError,
    names_by_language,
    names_like,
    spellings_of,
)
from kpi.errors import ContractError
from kpi.mapping.dates import Clock, read_times
from worker.recount.shop.dates import Clock as SecondClock

AS_WRITTEN = Clock("as written", "UTC")
FORMS = (
    *("31 {} 2025", "31. {} 2025", "31-{}-25", "31.{}.2025", "{} 31, 2025", "31 de {} de 2025"),
    *("31 de {} de 2025 23:59 hs.", "31. {} 2025 23:59:59 Uhr"),
)


def test_a_name_means_one_month_but_of_slavic_languages() -> None:
    months: dict[str, set[int]] = {}
    for names in names_by_language().values():
        for name, month in names.items():
            months.setdefault(name, set()).add(month)
    of_two = {name for name, found in months.items() if len(found) > 1}
    assert of_two == {"lip", "lis", "listopad", "listopada", "srp"}
    assert {month for found in months.values() for month in found} == set(range(1, 13))


def test_a_december_of_two_readings_is_refused() -> None:
    with pytest.raises(AmbiguousNameError, match="cs, hr"):
        names_like("pro")
    assert (names_like("prosinec")["srp"], names_like("prosinac")["srp"]) == (8, 7)


def test_a_contract_with_such_a_december_names_its_languages() -> None:
    text = (
        'language = 2\nday = "UTC"\n[[files]]\nmatch = "*"\nfeeds = []\ndates = ["31. pro 2025"]\n'
    )
    with pytest.raises(ContractError, match="one language alone writes it; this is of cs, hr"):
        parse_contract(text, source="shop.toml")


def test_names_without_accents_and_cut_off_names_are_read() -> None:
    french = names_like("décembre")
    assert [french[name] for name in ("fevrier", "aout", "sep", "janvi")] == [2, 8, 9, 1]
    assert "jui" in french  # of Canada's French, a name of June
    assert "ju" not in french


@pytest.mark.parametrize(
    ("names", "readings"),
    [
        (["Agustus", "Mei"], ["desember"]),
        (["agu", "okt"], ["des"]),
        (["April", "Mei", "Juni"], ["december/desember"]),
        (["Mar", "May"], ["Dec"]),
        (["mars", "juillet"], ["décembre"]),
        (["lis"], ["gru/prosince", "prosinca"]),
        (["lis", "srpna"], ["prosinec"]),
        (["lis", "sij"], ["prosinca"]),
        (["Mei", "May"], []),
        (["Blue"], []),
    ],
)
def test_the_languages_that_read_all_names_are_found(names: list[str], readings: list[str]) -> None:
    assert ["/".join(one) for one in spellings_of(names)] == readings


def test_both_counts_read_names_alike() -> None:
    chance = random.Random(27)
    languages = list(names_by_language().values())
    everywhere = sorted({name for names in languages for name in names})
    read = 0
    for _ in range(150):
        names = chance.choice(languages)
        december = chance.choice([name for name, month in names.items() if month == 12])
        example = chance.choice(FORMS).replace("{}", chance.choice([december, december.title()]))
        try:
            form = DateForm.of_example(example)
        except AmbiguousNameError:
            continue
        assert form is not None
        texts = [
            example.replace("31", str(chance.randint(1, 31))).replace(form.december, name)
            for name in (
                _varied(chance.choice(chance.choice([list(names), everywhere])), chance)
                for _ in range(12)
            )
        ]
        times = read_times(pa.array(texts, pa.string()), [form], AS_WRITTEN)
        days = [
            np.datetime64(int(day), "D").astype(object) if known else None
            for day, known in zip(times.days, times.valid, strict=True)
        ]
        second = [SecondClock("as written", "UTC").read(text, [example]) for text in texts]
        assert days == [None if one is None else one.day for one in second]
        read += int(times.valid.sum())
    assert read > 500


def _varied(name: str, chance: random.Random) -> str:
    plain = "".join(one for one in unicodedata.normalize("NFKD", name) if one.isascii())
    return chance.choice([name, name.upper(), name.title(), name + ".", name[:3], plain or name])
