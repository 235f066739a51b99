"""Errors carry fields, and word their message from them."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from worker.errors import (
    ConfigError,
    DamagedObject,
    Interrupted,
    SourceChanged,
    SourceError,
    SourceMissing,
    StoreError,
    WorkerError,
)


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


def test_exit_code_tells_wrong_use_from_failure() -> None:
    assert ConfigError("x").exit_code == 2
    assert {kind.exit_code for kind in (WorkerError, SourceMissing, StoreError)} == {1}


@pytest.mark.parametrize("copied", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_copy_keeps_every_field(copied: object) -> None:
    error = StoreError("full", url="/out", retryable=False)
    assert callable(copied)
    again = copied(error)
    assert (str(again), again.retryable, again.url) == ("/out: full", False, "/out")
