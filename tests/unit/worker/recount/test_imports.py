"""The recount shares nothing with what it checks but the contract's model and table names."""

from __future__ import annotations

import sys

import pytest

from tests.test_architecture import arrows, modules

ALLOWED = ("kpi.contract.model", "kpi.aggregation.tables", "worker.recount")
RECOUNT = {name: path for name, path in modules("worker").items() if "worker.recount" in name}


@pytest.mark.parametrize("name", RECOUNT)
def test_a_module_imports_the_standard_library_and_names_alone(name: str) -> None:
    for arrow in arrows(name, RECOUNT[name]):
        top = arrow.imported.partition(".")[0]
        standard = top in sys.stdlib_module_names
        assert standard or arrow.imported.startswith(ALLOWED), str(arrow)
        assert top not in ("numpy", "pyarrow")


def test_the_modules_are_found() -> None:
    assert {"worker.recount.days", "worker.recount.shop.days"} < RECOUNT.keys()
