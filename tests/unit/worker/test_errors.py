"""Errors carry fields, and word their message from them."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from kpi.errors import ContractError, KpiError
from worker.errors import (
    ConfigError,
    DamagedObject,
    Interrupted,
    InvalidSettings,
    SourceChanged,
    SourceError,
    SourceMissing,
    StoreError,
    WorkerError,
    describe_lines,
    exit_code,
)
from worker.service.queue_worker import Refused


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (WorkerError(), ""),
        (StoreError("throttled", url="dynamodb://shop"), "dynamodb://shop: throttled"),
        (
            ConfigError(url="ftp://in", expected="s3:// or a path", actual="ftp://"),
            "ftp://in: expected s3:// or a path, got ftp://",
        ),
        (
            ConfigError(option="--from", expected="a date", actual="x", hint="as 2025-03-30"),
            "--from: expected a date, got x; as 2025-03-30",
        ),
        (SourceError(url=Path("/in/1.csv"), expected=0), "/in/1.csv: expected 0"),
        (SourceMissing(url="s3://in/1.csv"), "s3://in/1.csv: there is no such object"),
        (
            SourceChanged(url="s3://in/1.csv", expected="version:1", actual="version:2"),
            "s3://in/1.csv: it was changed or deleted while it was being read",
        ),
    ],
)
def test_message_is_worded_from_the_fields(error: WorkerError, message: str) -> None:
    assert str(error) == message


def test_fields_are_what_was_given() -> None:
    error = SourceError(
        "broken", url=Path("/in"), option="--to", expected=3, actual=None, hint="try again"
    )
    assert (error.problem, error.url, error.option) == ("broken", "/in", "--to")
    assert (error.expected, error.actual, error.hint) == (3, None, "try again")


def test_only_what_a_retry_can_cure_is_retryable() -> None:
    kinds = (WorkerError, StoreError, SourceError, SourceChanged, Interrupted)
    assert all(kind("x").retryable for kind in kinds)
    assert not any(kind("x").retryable for kind in (ConfigError, SourceMissing, DamagedObject))
    assert not StoreError("not allowed", retryable=False).retryable
    assert StoreError("x").retryable, "the class must keep its own value"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 2),
        (Refused("x"), 2),
        (InvalidSettings(["x"]), 2),
        (ContractError("mine", ["x"]), 2),
        (StoreError("x"), 1),
        (SourceError("x"), 1),
        (Interrupted("x"), 1),
        (KpiError("x"), 1),
        (ValueError("x"), 1),
        (MemoryError(), 1),
    ],
)
def test_exit_code_tells_wrong_use_from_failure(error: Exception, code: int) -> None:
    assert exit_code(error) == code


def test_lines_are_the_problems() -> None:
    contract = ContractError("mine", ["a\nb", "c"])
    assert describe_lines(contract) == ["contract mine is not usable:", "  - a\nb", "  - c"]
    assert "\n".join(describe_lines(contract)) == str(contract)
    assert describe_lines(InvalidSettings(["--a: x", "--b: y\nz"])) == ["--a: x", "--b: y\nz"]
    assert describe_lines(StoreError("x", url="/a\nb")) == ["/a\nb: x"]
    assert describe_lines(KeyError("x")) == ["KeyError: 'x'"]


@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_copy_keeps_every_field(copied: object) -> None:
    error = StoreError("full", url="/out", retryable=False)
    assert callable(copied)
    again = copied(error)
    assert (str(again), again.retryable, again.url) == ("/out: full", False, "/out")
