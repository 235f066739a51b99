"""Tests that share something expensive are run by one process."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.recovery.test_crash_points_local import PLAYS
from tests.support.distribution import group_of

LOCAL = "tests/recovery/test_crash_points_local.py"


@pytest.mark.parametrize("name", PLAYS)
def test_tests_of_a_scene_are_a_group_of_their_own(name: str) -> None:
    tests = [
        f"{LOCAL}::test_the_undisturbed_run_does_all_that_is_tested[{name}]",
        f"{LOCAL}::test_a_killed_run_is_run_again[{name}-power failure]",
        f"{LOCAL}::test_a_failed_run_is_run_again[{name}-0]",
    ]
    assert len({group_of(test) for test in tests}) == 1
    others = [f"{LOCAL}::test_a_failed_run_is_run_again[{other}-0]" for other in PLAYS]
    assert len({group_of(test) for test in others}) == len(PLAYS)


def test_tests_of_the_stack_are_one_group() -> None:
    found = {group_of(f"tests/unit/infra/{name}") for name in ("test_a.py::b", "x/test_c.py::d[1]")}
    assert len(found) == 1


def test_other_tests_are_alone() -> None:
    tests = [f"tests/test_docs.py::test_a[{number}]" for number in range(3)]
    assert [group_of(test) for test in tests] == tests


def test_this_run_is_distributed_so(pytestconfig: pytest.Config) -> None:
    # What Distribution replaces has this name in pytest-xdist.
    assert "_split_scope" in vars(LoadScopeScheduling)
    found = pytestconfig.hook.pytest_xdist_make_scheduler.get_hookimpls()
    assert any(str(one.plugin_name).endswith("tests/conftest.py") for one in found)
