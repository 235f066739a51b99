"""State machines: valid definitions, timeouts, retries, and the values of their expressions."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import jsonata
import pytest

from tests.unit.infra.templates import ROOT, Json, Template, states
from tests.unit.infra.workflows.expressions import chosen, evaluate, expressions, state
from worker.cli.serve import parse
from worker.objects import ObjectInfo
from worker.objects.source import source_id
from worker.service.queue_worker import read_body

MACHINES = ("batches", "ingest", "intake", "sweep", "operations")
VALIDATOR = ROOT / "node_modules" / ".bin" / "asl-validator"
MIB = 2**20


@pytest.mark.parametrize("machine", MACHINES)
def test_definitions_pass_a_validator_of_the_states_language(
    template: Template, full: Template, machine: str, tmp_path: Path
) -> None:
    if not VALIDATOR.is_file():
        pytest.fail(f"{VALIDATOR} is missing: npm install --no-save asl-validator@4.0.0")
    for number, deployment in enumerate((template, full)):
        path = tmp_path / f"{number}.asl.json"
        path.write_text(json.dumps(deployment.definitions[machine]))
        done = subprocess.run(
            [str(VALIDATOR), "--json-path", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("machine", MACHINES)
def test_every_task_has_a_timeout_a_retry_and_a_catch(
    template: Template, full: Template, machine: str
) -> None:
    for deployment in (template, full):
        definition = deployment.definitions[machine]
        assert definition["TimeoutSeconds"] > 0
        for name, one, is_in_map in states(definition):
            if one["Type"] not in ("Task", "Map"):
                continue
            if one["Type"] == "Task":
                assert 0 < one["TimeoutSeconds"] <= definition["TimeoutSeconds"], name
            assert one["Retry"], name
            # A failure inside a map fails the map, which has the Catch (the sweep tolerates it).
            assert is_in_map or one["Catch"][-1]["ErrorEquals"] == ["States.ALL"], name


@pytest.mark.parametrize("machine", MACHINES)
def test_retries_back_off_with_jitter(template: Template, full: Template, machine: str) -> None:
    # The validator misses a misplaced States.ALL and a rate below 1.
    for deployment in (template, full):
        for name, one, _ in states(deployment.definitions[machine]):
            for kind in ("Retry", "Catch"):
                rules = one.get(kind, [])
                alone = [rule for rule in rules if "States.ALL" in rule["ErrorEquals"]]
                assert alone in ([], [rules[-1]] if rules else []), name
                assert all(rule["ErrorEquals"] == ["States.ALL"] for rule in alone), name
            for rule in one.get("Retry", []):
                if rule["MaxAttempts"] == 0:
                    continue
                assert rule["BackoffRate"] == 2, name
                assert rule["JitterStrategy"] == "FULL", name
                assert rule["IntervalSeconds"] <= rule["MaxDelaySeconds"] <= 300, name


@pytest.mark.parametrize("machine", MACHINES)
def test_every_expression_parses(template: Template, full: Template, machine: str) -> None:
    found = 0
    for deployment in (template, full):
        for text in expressions(deployment.definitions[machine]):
            assert text.endswith("%}"), text
            jsonata.Jsonata.jsonata(text[2:-2].strip())
            found += 1
    assert found > 10


@pytest.mark.parametrize("key", ["orders/a.csv", "order_items/größe & 'x'/a b.csv"])
def test_state_machine_and_worker_compute_the_same_source_id(template: Template, key: str) -> None:
    document = {"bucket": "shop-input", "key": key, "version_id": "3sL4kqtJlcpXroDTDmJ", "size": 1}
    output = evaluate(state(template, "intake", "Identify")["Output"], input=document)
    info = ObjectInfo(
        bucket="shop-input",
        key=key,
        size_bytes=1,
        version="version:3sL4kqtJlcpXroDTDmJ",
        uploaded_at=datetime.now(UTC),
    )
    assert output == {**document, "url": info.url, "source_id": source_id(info)}


def test_version_comes_from_the_event_or_the_bucket(template: Template) -> None:
    choice = state(template, "intake", "WhichVersion")
    event: Json = {
        "detail": {
            "bucket": {"name": "b"},
            "object": {"key": "orders/a.csv", "size": 7, "version-id": "v1"},
        }
    }
    assert chosen(choice, event) == "VersionOfEvent"
    output = state(template, "intake", "VersionOfEvent")["Output"]
    expected = {"bucket": "b", "key": "orders/a.csv", "size": 7, "version_id": "v1", "again": ""}
    assert evaluate(output, input=event) == expected
    listed = {"detail": {"bucket": {"name": "b"}, "object": {"key": "orders/a.csv"}}, "again": "x"}
    assert chosen(choice, listed) == "CurrentVersion"
    head = {"ContentLength": 7, "VersionId": "v2"}
    output = state(template, "intake", "CurrentVersion")["Output"]
    assert evaluate(output, input=listed, result=head) == {
        **expected,
        "version_id": "v2",
        "again": "-x",
    }
    folder = {"detail": {"bucket": {"name": "b"}, "object": {"key": "orders/", "size": 0}}}
    assert chosen(choice, folder) == "Ignored"


@pytest.mark.parametrize(
    ("key", "mib", "entry", "next_"),
    [
        ("orders/a.csv", 1, {}, "Validate"),
        ("orders/a.csv", 8192, {}, "Validate"),
        ("orders/a.csv", 8193, {}, "PlanRanges"),
        ("orders/A.CSV", 8193, {}, "PlanRanges"),
        ("orders/a.csv.gz", 8193, {}, "Validate"),
        ("orders/a.csv", 8193, {"verdict": {"S": "accepted"}}, "Verdict"),
    ],
)
def test_size_and_type_decide_how_an_object_is_validated(
    template: Template, key: str, mib: int, entry: Json, next_: str
) -> None:
    document = {"key": key, "size": mib * MIB, "entry": entry}
    assert chosen(state(template, "ingest", "IsCommitted"), document) == next_


@pytest.mark.parametrize(
    ("item", "next_"),
    [
        ({"verdict": {"S": "accepted"}}, "HasManyDays"),
        ({"verdict": {"S": "refused"}}, "Quarantine"),
        (None, "NotCommitted"),
    ],
)
def test_the_verdict_comes_from_the_ledger(
    template: Template, item: Json | None, next_: str
) -> None:
    result = {} if item is None else {"Item": item}
    output = state(template, "ingest", "ReadVerdict")["Output"]
    document = evaluate(output, input={"source_id": "x"}, result=result)
    assert document == {"source_id": "x", "entry": item or {}}
    assert chosen(state(template, "ingest", "Verdict"), document) == next_


def test_commands_of_tasks(template: Template) -> None:
    document = {
        "url": "s3://in/orders/a.csv",
        "version_id": "v1",
        "source_id": "0123456789abcdef",
        "range": "0-99",
        "from": "2025-03-01",
        "to": "2025-03-31",
        "execution": "arn:aws:states:eu-central-1:1:execution:ingest:big",
    }
    context = {"Execution": {"Id": document["execution"]}}
    commands = {}
    for name, one, _ in states(template.definitions["ingest"]):
        if one.get("Resource", "").endswith("ecs:runTask.sync"):
            (override,) = one["Arguments"]["Overrides"]["ContainerOverrides"]
            words = [
                evaluate(word, input=document, context=context) if word.startswith("{%") else word
                for word in override["Command"]
            ]
            commands[name] = " ".join(words)
    source = "s3://in/orders/a.csv --version-id v1"
    plans = "s3://BucketsClean75F84A17/plans/0123456789abcdef"
    archive = f"archive {source} --to s3://BucketsArchiveCE3432CC"
    assert commands == {
        "Validate": f"validate {source}",
        "PlanRanges": f"plan {source} --split-bytes {2**31} --output {plans}/ranges.json",
        "ValidateRange": f"validate {source} --range 0-99",
        "CommitRanges": f"validate {source} --commit-ranges",
        "Transform": f"transform --part-of {document['execution']}",
        "PlanDays": f"plan --days 31 --output {plans}/days.json",
        "TransformSlice": f"transform --from 2025-03-01 --to 2025-03-31 --part-of "
        f"{document['execution']}",
        "Archive": archive,
        "Quarantine": archive,
    }


def test_maps_read_the_plans(template: Template) -> None:
    for name, plan in (("ValidateRanges", "ranges"), ("TransformDays", "days")):
        reader = state(template, "ingest", name)["ItemReader"]
        assert reader["Parameters"] == {
            "Bucket": "BucketsClean75F84A17",
            "Key.$": f"$.{plan}_key",
        }
        planned = state(template, "ingest", f"Plan{plan.title()}")["Output"]
        output = evaluate(planned, input={"source_id": "abc"})
        assert output[f"{plan}_key"] == f"plans/abc/{plan}.json"


def test_slices_have_the_name_of_their_parent(template: Template) -> None:
    given = state(template, "ingest", "TransformDays")["ItemSelector"]
    assert given["execution.$"] == "$$.Execution.Id"


BATCH = {"Execution": {"Name": "window-7"}}


def batch_commands(template: Template) -> dict[str, list[str]]:
    """Return state -> command of the tasks of a batch, and of the warm service."""
    commands = {}
    for name, one, _ in states(template.definitions["batches"]):
        arguments = one.get("Arguments", {})
        if one.get("Resource", "").endswith("ecs:runTask.sync"):
            (override,) = arguments["Overrides"]["ContainerOverrides"]
            words = override["Command"]
        elif one.get("Resource", "").endswith("sqs:sendMessage.waitForTaskToken"):
            words = arguments["MessageBody"]["command"]
        else:
            continue
        commands[name] = [
            evaluate(word, input={"round": 2}, context=BATCH) if word.startswith("{%") else word
            for word in words
        ]
    return commands


def test_commands_of_a_batch(template: Template) -> None:
    batch = (
        "--queue UploadsQueue9C3802C9 --batch s3://BucketsClean75F84A17/plans/batches/window-7-2"
    )
    sizes = "--max-files 1000 --max-mib 1024 --transform-mib 0"
    commands = {name: " ".join(words) for name, words in batch_commands(template).items()}
    assert commands == {
        "Validate": f"validate {batch} {sizes}",
        "Transform": f"transform {batch}",
        "Archive": f"archive {batch} --to s3://BucketsArchiveCE3432CC",
    }
    read = state(template, "batches", "ReadSummary")["Arguments"]
    key = evaluate(read["Key"], input={"round": 2}, context=BATCH)
    assert f"s3://{read['Bucket']}/{key}" in batch + "/summary.json"


def test_one_task_takes_small_batches_where_it_is_set(template: Template, hosted: Template) -> None:
    assert "--transform-mib 16" in " ".join(batch_commands(hosted)["Validate"])
    tasks = {
        name: state(hosted, "batches", name)["Arguments"]["TaskDefinition"]
        for name in ("Validate", "Transform")
    }
    assert "ComputeBatch" in tasks["Validate"]
    assert "ComputeTransform" in tasks["Transform"]
    both = hosted.rights("ComputeValidateRole") | hosted.rights("ComputeTransformRole")
    queue = {right for right in both if "UploadsQueue" in right[1]}
    validating = hosted.rights("ComputeValidateRole") & queue
    assert hosted.rights("ComputeBatchRole") == both - queue | validating
    assert not [name for name in template.resources if name.startswith("ComputeBatch")]


def test_the_warm_service_takes_batches(full: Template) -> None:
    understood = {}
    for name, words in batch_commands(full).items():
        if not name.endswith("Warm"):
            continue
        warm = state(full, "batches", name)
        assert warm["HeartbeatSeconds"] < warm["TimeoutSeconds"]
        # Any error leads to a task of its own.
        assert [rule["Next"] for rule in warm["Catch"]] == [name.removesuffix("Warm")]
        body = warm["Arguments"]["MessageBody"]
        assert evaluate(body["task_token"], context={"Task": {"Token": "t"}}) == "t"
        job = read_body(json.dumps({"task_token": "t", "command": words}))
        assert job is not None
        assert job.command is not None
        understood[name], given = parse(job.command)
        assert given["batch"].endswith("/plans/batches/window-7-2")
    assert understood == {"ValidateWarm": "validate", "TransformWarm": "transform"}


def running(*names: str) -> Json:
    return {"Executions": [{"ExecutionArn": name} for name in names]}


@pytest.mark.parametrize(
    ("listed", "ahead"),
    [
        (running("own"), 0),
        (running("newer", "own"), 0),
        (running("newer", "own", "older", "oldest"), 2),
        (running("older", "oldest"), 2),  # the list does not know this one yet
        (running("older"), 1),
        ({"Executions": []}, 0),
    ],
)
def test_executions_that_began_before_are_counted(
    template: Template, listed: Json, ahead: int
) -> None:
    output = state(template, "batches", "ListRunning")["Output"]
    document = evaluate(
        output, input={"count": False}, result=listed, context={"Execution": {"Id": "own"}}
    )
    assert document["ahead"] == ahead


@pytest.mark.parametrize(
    ("ahead", "counts", "next_"),
    [(8, False, "Busy"), (7, False, "Validate"), (0, True, "CountFiles")],
)
def test_an_execution_goes_on_where_there_is_room(
    template: Template, ahead: int, counts: bool, next_: str
) -> None:
    document = {"ahead": ahead, "count": counts}
    assert chosen(state(template, "batches", "HasRoom"), document) == next_


@pytest.mark.parametrize(
    ("summary", "ways"),
    [
        ({"messages": 0}, ["Drained"]),
        ({"messages": 1000}, ["StartAnother"]),
        ({"messages": 3, "refused": 1}, ["AnyRefused", "NotifyRefusals"]),
        ({"messages": 3, "accepted": 3}, ["AnyRefused", "IsPublished", "Transform"]),
        (
            {"messages": 3, "accepted": 3, "published": True},
            ["AnyRefused", "IsPublished", "Archive"],
        ),
        ({"messages": 1}, ["AnyRefused", "IsPublished", "NextRound"]),  # its one file failed
    ],
)
def test_the_summary_decides_what_is_next(
    template: Template, summary: Json, ways: list[str]
) -> None:
    zeros = {"accepted": 0, "refused": 0, "published": False}
    document = {"summary": {**zeros, **summary}}
    at = "WhatCame"
    for way in ways:
        at = chosen(state(template, "batches", at), document)
        assert at == way
    assert evaluate(
        state(template, "batches", "NextRound")["Output"], input={"round": 3, "retries": 2}
    ) == {"round": 4, "count": True}


def test_a_refusal_is_one_mail_a_batch(template: Template) -> None:
    summary = {"refused": 70, "files": 100, "first_refused": [{"url": "s3://in/orders/a.csv"}]}
    message = state(template, "batches", "NotifyRefusals")["Arguments"]["Message"]
    mail = json.loads(evaluate(message, input={"summary": summary, "round": 0}, context=BATCH))
    assert (mail["files"], mail["of"], mail["first"]) == (70, 100, summary["first_refused"])
