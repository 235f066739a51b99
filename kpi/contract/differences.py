"""Compare two contracts: in words, and by whether clean rows made under one serve the other."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace

from kpi.contract.model import Contract

IDENTITY = {"text", "digest", "name"}
"""Fields of a contract that say which one it is, not what it means."""

COMPUTED = re.compile(
    r"business_time_zone|datasets\.orders\.returned|datasets\.\w+\.(replaces|version)"
    r"|shop\.datasets\.\w+\.(excluded|returned)"
)
"""Fields that the KPIs are computed with, and that clean rows do not depend on."""


NOT_OF_KPIS = re.compile(r"expect")
"""Fields that neither clean rows nor KPIs depend on."""


def describe_differences(old: Contract, new: Contract) -> list[str]:
    """Say how two contracts differ, one sentence for each field, in the order of the fields.

    Where language 2 has a part, the fields are the words of the two texts.
    """
    before, after = dict(_leaves(old)), dict(_leaves(new))
    if before != after and (old.shop or new.shop):
        before, after = (dict(_words(tomllib.loads(one.text))) for one in (old, new))
        before.pop("name", None)
        after.pop("name", None)
    elif "expect" in before and before["expect"] != after["expect"]:
        for fields, one in ((before, old), (after, new)):
            del fields["expect"]
            fields.update(_words({"expect": tomllib.loads(one.text).get("expect", {})}))
    return [
        f"{name.removeprefix('datasets.')}: {_shown(before.get(name))} -> {_shown(after.get(name))}"
        for name in {**before, **after}
        if before.get(name) != after.get(name)
    ]


def same_clean_rows(old: Contract, new: Contract) -> bool:
    """Return whether both contracts make the same clean rows and rejects of any file."""
    before, after = (
        {
            name: value
            for name, value in _leaves(_without_replaces(one))
            if not COMPUTED.fullmatch(name) and not NOT_OF_KPIS.fullmatch(name)
        }
        for one in (old, new)
    )
    return before == after


def same_kpis(old: Contract, new: Contract) -> bool:
    """Return whether both contracts make the same KPIs of any files."""
    before, after = (
        [(name, value) for name, value in _leaves(one) if not NOT_OF_KPIS.fullmatch(name)]
        for one in (old, new)
    )
    return before == after


def _without_replaces(contract: Contract) -> Contract:
    """Leave out what later files replace: it decides which rows count, not what they are."""
    if contract.shop is None:
        return contract
    files = tuple(replace(layout, replaces="rows") for layout in contract.shop.files)
    return replace(contract, shop=replace(contract.shop, files=files))


def _leaves(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Yield the fields of a contract by their dotted names."""
    if is_dataclass(value):
        for field in fields(value):
            if name or field.name not in IDENTITY:
                yield from _leaves(getattr(value, field.name), f"{name}.{field.name}".lstrip("."))
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _leaves(one, f"{name}.{key}")
    else:
        yield name, value


def _words(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Yield the settings of a document of TOML by their dotted names; entries by their number."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _words(one, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        for number, one in enumerate(value, start=1):
            yield from _words(one, f"{name} {number}")
    else:
        yield name, value


def _shown(value: object) -> str:
    return "not there" if value is None else repr(value)
