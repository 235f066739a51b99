"""Any bytes as a contract: each problem is listed with its place, or files can be read with it."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kpi.contract.loading import built_in, built_in_names
from kpi.contract.model import DATASETS, Contract, Dataset
from kpi.errors import ContractError
from tests.properties.validation import outcome
from tests.support.profiles import examples
from worker.errors import ConfigError
from worker.settings import MAX_CONTRACT_BYTES, read_contract, read_settings

TEXTS = [built_in(name).text for name in built_in_names()]
VALUES = [
    *("0", "-1", "1", "18", "19", "1e308", "-1e308", "1e-300", "nan", "inf", "-inf", "0x1F"),
    *("9" * 20, "9" * 80, "9" * 5000, "0x" + "f" * 5000, "-9223372036854775808", "0.1", "1_0"),
    *(
        "true",
        '""',
        '"a"',
        '"\\u0000"',
        '"\\t"',
        '";"',
        '"|"',
        '" "',
        '"\\u00e4"',
        '"?"',
        '"x" * 9',
    ),
    *("[]", '[""]', '["a", ""]', "[1]", "{}", "{ type = 1 }", "[" * 2000, '{ "" = 1 }'),
    *(
        '"%Y"',
        '["%Y%m%d"]',
        '["%%d %Y"]',
        '["%d %d %Y"]',
        '["%Y\\u0000%d"]',
        '["(%Y", "[%Y", "%Y\\\\"]',
    ),
    *('["%F %d", "%D", "%e %b %Y"]', '["%Y|%m|%d", "%Y%n%d"]', "2025-03-01", "07:32:00"),
    *('"Europe/Berlin"', '"localtime"', '"Factory"', '"posixrules"', '"../UTC"', '"Europe"', '"Z"'),
    *('"string"', '"integer"', '"decimal"', '"timestamp"', '"orders"', '".."', '"a/b"', '"\\n"'),
]
SETTINGS = [
    *("delimiter", "null_values", "source_time_zone", "business_time_zone", "max_reject_rate"),
    *("max_record_bytes", "max_columns", "max_inflation", "folder", "key", "returned", "price_per"),
    *(
        "type",
        "required",
        "headers",
        "formats",
        "precision",
        "scale",
        "trim",
        "on_excess_digits",
        "min",
        "max",
        "allowed",
    ),
    *("max_bytes", "name", '""', '"?"', '"a b"', '"\\u0000"', "_x", "quantity", "status"),
]


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A built-in contract with some values replaced, and some settings put somewhere."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 3))):
        value = draw(st.sampled_from(VALUES))
        if draw(st.booleans()):
            places = list(re.finditer(r'(?<== )("[^"\n]*"|\[[^\[\]\n]*\]|true|\d[\d.]*)', text))
            start, end = draw(st.sampled_from(places)).span()
            text = f"{text[:start]}{value}{text[end:]}"
        else:
            setting = draw(st.sampled_from(SETTINGS))
            places = list(re.finditer(r"(?m)(?<=\{ )|^", text))
            at = draw(st.sampled_from(places)).start()
            end_of_it = ", " if text[at - 2 : at] == "{ " else "\n"
            text = f"{text[:at]}{setting} = {value}{end_of_it}{text[at:]}"
    return text


CONTRACTS = st.one_of(
    texts().map(str.encode),
    st.binary(max_size=100),
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.tuples(st.sampled_from(TEXTS), st.integers(0, 3000), st.binary(max_size=3)).map(
        lambda cut: cut[0].encode()[: cut[1]] + cut[2] + cut[0].encode()[cut[1] + 1 :]
    ),
)


def cell(contract: Contract, dataset: Dataset, name: str) -> str:
    """A value that is likely, but not sure, to be one of the column's."""
    column = dataset.columns[name]
    if column.type == "timestamp":
        return "2025-03-01 10:00:00"
    if column.allowed:
        return column.allowed[0]
    return "1" if contract.null_values != ("1",) else "2"


def check_in_use(contract: Contract) -> None:
    """Files of every dataset, with likely values and with garbage, lose no row."""
    for name in DATASETS:
        dataset = contract.datasets[name]
        file = io.StringIO(newline="")
        writer = csv.writer(file, delimiter=contract.delimiter, lineterminator="\n")
        writer.writerow([*dataset.columns, "unknown"])
        likely = [cell(contract, dataset, column) for column in dataset.columns]
        for row in (likely, ["x"] * len(likely), ["-0.5e1"] * len(likely), [""] * len(likely)):
            writer.writerow([*row, "kept"])
        found = outcome(file.getvalue().encode(), dataset=name, contract=contract)
        entry = found.entry
        if entry.rows_read:
            assert entry.rows_read == 4 == entry.rows_clean + entry.rows_rejected
        else:
            assert re.search("columns?", str(entry.reason)), entry.reason


def load(data: bytes) -> Contract | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.toml"
        path.write_bytes(data)
        try:
            return read_contract(str(path))
        except (ConfigError, ContractError) as error:  # another error must not pass
            found = error
    assert str(path) in str(found)
    for problem in found.problems if isinstance(found, ContractError) else ():
        known = r"not TOML: |nothing is said in it; |[^ ].*: (expected|the KPIs need)"
        assert re.match(known, problem, re.DOTALL)
        assert len(problem) < 1000
    return None


@given(CONTRACTS)
@examples(2.5)
@example(b"a = " + b"[" * 10_000)
@example(b"a = " + b"{a=" * 10_000)
@example(TEXTS[0].encode().replace(b"min = 0", b"min = 1e308"))
@example(TEXTS[0].encode().replace(b"min = 0", b"max = 1e-300"))
@example(TEXTS[0].encode().replace(b"min = 0", b"max = 0x" + b"f" * 80))
@example(TEXTS[0].encode().replace(b'"UTC"', b'"posixrules"'))
def test_any_bytes_are_a_working_contract_or_listed_problems(data: bytes) -> None:
    contract = load(data)
    if contract is not None:
        check_in_use(contract)


def test_the_built_in_contracts_can_be_used() -> None:
    for name in built_in_names():
        check_in_use(built_in(name))


@pytest.mark.parametrize(
    "limit",
    [
        "-9223372036854775808",
        "9223372036854775807",
        "0.1",
        "1e18",
        "-0.000000000000000001",
        "1e-18",
    ],
)
def test_every_limit_that_is_taken_is_held(limit: str) -> None:
    for setting in ("min", "max"):
        text = TEXTS[0].replace("min = 0", f"{setting} = {limit}")
        contract = load(text.encode())
        assert contract is not None
        check_in_use(contract)


def test_a_contract_has_a_size_limit() -> None:
    big = TEXTS[0].encode() + b"#" * MAX_CONTRACT_BYTES
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mine.toml"
        path.write_bytes(big)
        for name in (str(path), "/dev/zero"):
            with pytest.raises(ConfigError, match=f"at most {MAX_CONTRACT_BYTES} bytes"):
                read_contract(name)


@given(
    st.fixed_dictionaries(
        {
            name: st.one_of(
                st.none(),
                st.text(st.characters(exclude_characters="\0"), max_size=20),
                st.sampled_from(
                    [
                        *(
                            "~nobody-of-this-name/x",
                            "sqlite:///",
                            "dynamodb://[",
                            "s3://",
                            "s3://[",
                        ),
                        *(
                            "file://x",
                            "file:///\udcff",
                            "//",
                            "a" * 5000,
                            "s3:///x",
                            "://",
                            "\udcff",
                        ),
                    ]
                ),
            )
            for name in ("workspace", "state", "contract")
        }
    )
)
@examples(2)
def test_any_setting_is_valid_or_named_in_an_error(given: dict[str, Any]) -> None:
    try:
        read_settings(**given)
    except ConfigError as error:
        message = str(error)
    else:
        return
    assert re.search("--(workspace|state|contract): ", message)
