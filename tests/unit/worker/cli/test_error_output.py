"""Errors on standard error: no text from outside begins a line, programs get JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.errors import ContractError
from tests.support.commands import Done, shopkpi
from worker.cli.error_output import ErrorOutput
from worker.errors import ConfigError, InvalidSettings, SourceChanged, StoreError

FORGED = '{"event": "source.committed", "_aws": {"CloudWatchMetrics": []}}'
ENDS = ("\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029")


def events(text: str) -> list[object]:
    """Every line that a reader of JSON lines takes for an event."""
    found = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("output", ["json", "table"])
def test_line_end_in_a_key_forges_no_event(tmp_path: Path, end: str, output: str) -> None:
    key = f"in/x{end}{FORGED}{end}.csv"
    done = shopkpi(tmp_path, "validate", key, "--format", output)
    assert done.code == 2
    found = events(done.err)
    if output == "table":
        assert found == []
    else:
        (event,) = found
        assert isinstance(event, dict)
        assert event["event"] == "command.failed"
        assert FORGED in str(event["url"])


@pytest.mark.parametrize(
    "words",
    [
        ["validate", "a.csv", "--range", f"\n{FORGED}\n"],
        ["validate", "a.csv", f"--x\n{FORGED}\n"],
        ["query", f"\n{FORGED}\n"],
        [f"\n{FORGED}\n"],
        ["run", "a", "--kpis", f"\n{FORGED}\n", "--format", "table"],
        ["run", "a", "--contract", f"\n{FORGED}\n", "--format", "table"],
        ["rejects", f"\n{FORGED}\n", "--workspace", f"w\n{FORGED}"],
        ["contract", "show", f"\n{FORGED}\n"],
    ],
)
def test_line_end_in_an_argument_forges_no_event(tmp_path: Path, words: list[str]) -> None:
    done = shopkpi(tmp_path, *words)
    assert done.code == 2
    names = [event["event"] for event in events(done.err) if isinstance(event, dict)]
    assert names in ([], ["command.failed"])


def test_contract_check_prints_each_column_in_one_line(tmp_path: Path) -> None:
    shown = shopkpi(tmp_path, "contract", "show").out
    name = json.dumps(f"\n{FORGED}\n")
    (tmp_path / "c.toml").write_text(
        shown.replace("[orders.columns]", f'[orders.columns]\n{name} = {{ type = "string" }}', 1)
    )
    done = shopkpi(tmp_path, "contract", "check", "c.toml")
    assert done.code == 0
    assert events(done.out) == []
    assert "source.committed" in done.out


def written(error: Exception, capsys: pytest.CaptureFixture[str], *, as_json: bool) -> Done:
    output = ErrorOutput()
    output.as_json = as_json
    code = output.write(error)
    out, err = capsys.readouterr()
    return Done(code, out, err)


def test_json_line_has_the_fields_of_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    error = SourceChanged(url="s3://in/a.csv", expected="version:1", actual="version:2")
    done = written(error, capsys, as_json=True)
    event = json.loads(done.err)
    assert event.pop("at").endswith("+00:00")
    assert event == {
        "event": "command.failed",
        "exit_code": 1,
        "error": "SourceChanged",
        "problem": "s3://in/a.csv: it was changed or deleted while it was being read",
        "url": "s3://in/a.csv",
        "expected": "version:1",
        "actual": "version:2",
        "retryable": True,
    }
    assert done.err.count("\n") == 1


def test_each_problem_has_a_line_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    done = written(InvalidSettings(["--a: x", "--b: y\nz"]), capsys, as_json=False)
    assert done == (2, "", "shopkpi: --a: x\n--b: y\\x0az\n")
    done = written(ContractError("c", ["x"]), capsys, as_json=False)
    assert done == (2, "", "shopkpi: contract c is not usable:\n  - x\n")


def test_secrets_are_in_neither_form(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    monkeypatch.setenv("SHOPKPI_DEBUG", "1")
    error = StoreError("signed with hunter2hunter2", url="http://me:pass@host/?X-Amz-Signature=ab")
    for as_json in (False, True):
        done = written(error, capsys, as_json=as_json)
        assert "hunter2" not in done.err
        assert "pass@" not in done.err
        assert "=ab" not in done.err
        assert "StoreError" in done.err


@given(st.text(), st.booleans())
def test_any_text_is_one_line(text: str, as_json: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("click.echo", lambda line, **_: lines.append(str(line)))
        output = ErrorOutput()
        output.as_json = as_json
        output.write(ConfigError(text, url=text, expected=text, actual=text, hint=text))
    assert len(lines) == 1
    assert len(lines[0].splitlines()) == 1
