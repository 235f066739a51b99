"""Settings are read whole, or refused with every problem."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.errors import ConfigError, InvalidSettings
from worker.settings import read_contract, read_day, read_settings


def problems_of(**settings: str) -> tuple[str, ...]:
    named = dict.fromkeys(("workspace", "state", "contract")) | settings
    with pytest.raises(InvalidSettings) as refused:
        read_settings(**named)  # type: ignore[arg-type]
    return refused.value.problems


def test_defaults_are_a_folder_and_a_database_in_it() -> None:
    settings = read_settings(workspace=None, state=None, contract=None)
    assert settings.workspace.key == str(Path.cwd() / ".shopkpi").lstrip("/")
    assert settings.state_url == f"sqlite:///{settings.workspace.key}/shopkpi.db"
    assert settings.contract.name == "default"
    assert settings.tables == {"order_kpis", "category_kpis"}


def test_every_problem_is_one_line(tmp_path: Path) -> None:
    contract = tmp_path / "c.toml"
    contract.write_text('name = 3\n"a\nb" = 1')
    found = problems_of(
        workspace="ftp://x", state="mysql://x", contract=str(contract), kpis="order,gopher"
    )
    assert [one.split(":")[0] for one in found[:3]] == ["--workspace", "--state", "--contract"]
    assert "gopher" in found[-1]
    contract.write_text("name = 3")
    (first, *others) = problems_of(contract=str(contract))
    assert first == f"--contract: contract {contract} is not usable:"
    assert others[0] == "  - name: expected text, got 3"


def test_workspace_in_s3_needs_a_state() -> None:
    (problem,) = problems_of(workspace="s3://clean/zone")
    assert problem == "--state: a workspace in S3 needs one, e.g. dynamodb://shopkpi"


def test_day_is_an_iso_date() -> None:
    assert str(read_day("2025-03-30", "--from")) == "2025-03-30"
    assert read_day(None, "--from") is None
    with pytest.raises(ConfigError) as refused:
        read_day("30.3.2025", "--from")
    assert refused.value.option == "--from"
    assert refused.value.actual == "30.3.2025"


def test_unknown_contract_names_the_built_in_ones() -> None:
    with pytest.raises(ConfigError, match=r"no built-in contract .*default, olist, string-ids"):
        read_contract("nowhere.toml")
