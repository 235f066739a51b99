"""`shopkpi.toml` and `config show`: where each setting comes from, and which value wins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.commands import Done, shopkpi
from worker.cli.run import run
from worker.config_file import KEYS, find_config
from worker.errors import ConfigError

FILE = """\
# settings of the shop
input = "in"
workspace = "ws"
tables = ["order", "product"]
fail_on = "refused, rejects>5%"
"""
ORDERS = "order_id,user_id,status,created_at\n1,7,x,2025-03-01T00:00:00\n"


@pytest.fixture
def below(tmp_path: Path) -> Path:
    """Folder two levels below that of a settings file."""
    (tmp_path / "shopkpi.toml").write_text(FILE)
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    return folder


def settings(done: Done) -> dict[str, tuple[str, str]]:
    return {row["setting"]: (row["value"], row["from"]) for row in done.json}


def test_file_is_found_upwards_and_its_paths_are_its_own(below: Path, tmp_path: Path) -> None:
    shown = settings(shopkpi(below, "config", "show", "--format", "json"))
    file = str(tmp_path / "shopkpi.toml")
    assert shown["input"] == (str(tmp_path / "in"), file)
    assert shown["workspace"] == (str(tmp_path / "ws"), file)
    assert shown["state"] == (f"sqlite://{tmp_path}/ws/shopkpi.db", "default")
    assert shown["tables"] == ("order,product", file)
    assert shown["fail_on"] == ("refused, rejects>0.05", file)
    assert shown["settle"] == ("0.0", "environment SHOPKPI_SETTLE")


def test_options_win_over_environment_over_file(below: Path) -> None:
    for arguments, environment, expected in [
        (["--workspace", "x"], {"SHOPKPI_WORKSPACE": "y"}, ("x", "option")),
        ([], {"SHOPKPI_WORKSPACE": "y"}, ("y", "environment SHOPKPI_WORKSPACE")),
    ]:
        done = shopkpi(below, "config", "show", *arguments, "--format", "json", **environment)
        assert settings(done)["workspace"] == expected


def test_run_and_query_take_their_places_from_the_file(below: Path, tmp_path: Path) -> None:
    orders = tmp_path / "in" / "orders" / "1.csv"
    orders.parent.mkdir(parents=True)
    orders.write_text(ORDERS)
    assert shopkpi(below, "run").code == 0
    assert (tmp_path / "ws" / "shopkpi.db").exists()
    (row,) = shopkpi(below, "query", "orders", "--format", "json").json
    assert row["total_orders"] == 1
    orders.with_name("2.csv").write_text("nothing,known\n1,2\n")
    assert shopkpi(below, "run").code == 4


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ('input = "in"\nworksapce = "ws"\n', "2", "unknown key 'worksapce'; expected input, work"),
        ("[state]\nurl = 'x'\n", "1", "state: expected a text"),
        ("\n\ntables = 3\n", "3", "tables: expected a text or a list of texts"),
    ],
)
def test_wrong_key_is_named_with_its_place(
    tmp_path: Path, text: str, place: str, problem: str
) -> None:
    path = tmp_path / "shopkpi.toml"
    path.write_text(text)
    done = shopkpi(tmp_path, "query", "orders")
    assert done.code == 2
    assert f"{path}:{place}: {problem}" in done.err


def test_every_wrong_key_is_listed(tmp_path: Path) -> None:
    (tmp_path / "shopkpi.toml").write_text("a = 1\nb = 2\n")
    assert shopkpi(tmp_path, "run", "x").err.count("unknown key") == 2


@pytest.mark.parametrize("content", [b"input = ", b"\xff", b"#" * 70_000])
def test_unusable_file_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "shopkpi.toml"
    path.write_bytes(content)
    done = shopkpi(tmp_path, "config", "show")
    assert (done.code, str(path) in done.err) == (2, True)


def test_help_works_beside_an_unusable_file(tmp_path: Path) -> None:
    (tmp_path / "shopkpi.toml").write_text("input = ")
    assert shopkpi(tmp_path, "run", "--help").code == 0


def test_file_of_a_stranger_in_a_public_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shopkpi.toml"
    path.write_text(FILE)
    monkeypatch.chdir(tmp_path)
    owner = path.stat().st_uid
    if owner == 0:
        os.chown(path, 12345, -1)
    else:
        monkeypatch.setattr("os.geteuid", lambda: owner + 1)
    assert find_config() is not None
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigError, match="belongs to another user"):
        find_config()


def test_every_key_is_a_parameter_of_run() -> None:
    parameters = {one.name for one in run.params}
    assert set(KEYS.values()) <= parameters


def test_run_without_input_says_where_it_may_be(tmp_path: Path) -> None:
    done = shopkpi(tmp_path, "run")
    assert (done.code, "Missing argument 'INPUT...', or `input` in shopkpi.toml" in done.err) == (
        2,
        True,
    )
