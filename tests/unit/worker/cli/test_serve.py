"""What `shopkpi serve` makes of a message: a command that the state machine sends, or nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.cli.serve import COMMANDS, parse
from worker.service.queue_worker import Refused, read_body

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["task_token", "command", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.text(max_size=30) | json_values.map(json.dumps))
def test_any_body_is_read(text: str) -> None:
    job = read_body(text)
    if job is None:
        return
    document = json.loads(text)
    assert job.token == document["task_token"] != ""
    if job.command is not None:
        assert list(job.command) == document["command"] != []


def test_a_body_that_nests_too_deep_is_no_message() -> None:
    assert read_body("[" * 100_000) is None


WORDS = st.sampled_from(
    [
        *("validate", "transform", "archive", "run", "serve", "--help", "-h", "--version"),
        *("s3://in/orders/1.csv", "/etc/passwd", "file:///etc/passwd", "--version-id", "v1"),
        *("--state", "sqlite:///tmp/x.db", "--workspace=/tmp", "--format", "json", "--all", "--"),
    ]
)


@given(st.lists(WORDS | st.text(max_size=8), max_size=5))
def test_only_what_the_state_machine_sends_is_run(words: list[str]) -> None:
    try:
        name, found = parse(words)
    except Refused:
        return
    if name == "transform":
        assert [word for word in words if word != "--"] == ["transform"]
        return
    assert name == "validate"
    (source,) = found["sources"]
    assert source.startswith("s3://")
    rest = [word for word in words[1:] if word not in (source, "--")]
    assert rest in ([], ["--version-id", found["version_id"]]) or rest == [
        f"--version-id={found['version_id']}"
    ]


@pytest.mark.parametrize(
    "words",
    [
        "validate s3://in/orders/1.csv --version-id v1",
        "validate s3://in/orders/1.csv",
        "transform",
        "validate --queue https://sqs/q --batch s3://clean/plans/b --max-files 10",
        "transform --queue https://sqs/q --batch s3://clean/plans/b",
    ],
)
def test_what_the_state_machine_sends_is_understood(words: str) -> None:
    assert parse(words.split())[0] in COMMANDS


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("", "runs validate and transform only"),
        ("archive s3://in/a.csv --to s3://out", "runs validate and transform only"),
        ("validate", "Missing argument"),
        ("validate --queue https://sqs/q", "go together"),
        ("validate s3://in/a.csv --queue q --batch s3://b/c", "a batch goes without sources"),
        ("validate --help", "No such option"),
        ("validate orders/1.csv", "expected sources in S3"),
        ("validate s3://in/a.csv s3://in/b.csv", "expected one source, got 2"),
        (
            "validate s3://in/a.csv --workspace s3://elsewhere",
            "a message may not give workspace",
        ),
        ("transform --state dynamodb://other", "a message may not give state"),
        ("transform --all", "a message may not give everything"),
    ],
)
def test_what_it_does_not_send_is_refused(
    words: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Refused, match=problem):
        parse(words.split())
    assert capsys.readouterr() == ("", "")
