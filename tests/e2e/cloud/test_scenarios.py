"""Objects with an execution of their own: refusals, repeats, crashes and huge objects.

In the template of these tests every object is too large for a batch (see `test_batches`).
"""

from __future__ import annotations

import base64
import gzip
import json
import random
from pathlib import Path

import pytest

from infra.compute import NOT_NOW
from infra.workflows.archive import COPY_LIMIT_BYTES
from infra.workflows.worker_tasks import MAX_WAIT_S
from tests.e2e.cloud import shop
from tests.e2e.cloud.deployment import Deployment
from tests.e2e.cloud.running import Cloud, without_batches
from worker.objects.s3_upload import COPY_PART_FACTOR
from worker.runtime.memory_budget import PART_BYTES


@pytest.fixture
def deployment(cloud: Cloud) -> Deployment:
    return Deployment.create(cloud.emulator, without_batches(cloud.template), cloud.home)


def event(deployment: Deployment, key: str, version: str, size: int) -> dict[str, object]:
    """Return an event as Amazon S3 sends it, with the version id."""
    return {
        "detail": {
            "bucket": {"name": deployment.outputs["InputBucket"]},
            "object": {"key": key, "version-id": version, "size": size},
        }
    }


def test_items_may_come_before_their_orders(deployment: Deployment, tmp_path: Path) -> None:
    orders = shop.orders(range(1, 30))
    bodies = {
        "order_items": [shop.csv_bytes(shop.items(orders))],
        "orders": [shop.csv_bytes(orders)],
        "products": [shop.csv_bytes(shop.products())],
    }
    for number, (dataset, (body,)) in enumerate(bodies.items(), 1):
        deployment.upload(f"{dataset}/a.csv", body)
        deployment.succeed(number)
        if dataset == "order_items":
            assert deployment.rows("order_kpis") == []
    shop.expect_kpis(deployment, tmp_path, bodies)


def test_a_refused_file_goes_to_quarantine_and_is_reported(deployment: Deployment) -> None:
    messages = deployment.subscribe()
    body = b"nothing,that,belongs,here\n1,2,3,4\n"
    deployment.upload("orders/wrong.csv", body)
    (execution,) = deployment.succeed(1)
    assert deployment.states_of(execution)[-2:] == ["NotifyRefusal", "Refused"]
    place = f"quarantine/{execution['name']}/orders/wrong.csv"
    assert deployment.keys("InputBucket") == []
    assert deployment.keys("ArchiveBucket") == [place, f"{place}.verdict.json"]
    assert deployment.read("ArchiveBucket", place) == body
    verdict = json.loads(deployment.read("ArchiveBucket", f"{place}.verdict.json"))
    assert verdict["verdict"] == "refused"
    (message,) = messages
    assert message["event"] == "source.refused"
    assert message["url"] == verdict["url"]
    assert message["reason"] == verdict["reason"]
    assert message["quarantine"] == f"s3://{deployment.outputs['ArchiveBucket']}/{place}"
    assert deployment.rows("order_kpis") == []


def test_an_event_that_comes_twice_does_nothing_twice(deployment: Deployment) -> None:
    body = shop.csv_bytes(shop.orders(range(1, 9)))
    version = deployment.upload("orders/a.csv", body)
    deployment.succeed(1)
    before = deployment.rows("order_kpis")
    again = event(deployment, "orders/a.csv", version, len(body))
    deployment.start("intake", again)
    intake = deployment.wait(2, "intake")
    assert deployment.states_of(intake[-1])[-1] == "AlreadyStarted"
    # Step Functions forgets the name after 90 days; the ledger does not.
    deployment.start("intake", {**again, "again": "later"})
    _, second = deployment.succeed(2)
    entered = deployment.states_of(second)
    assert "Validate" not in entered
    assert entered[-2:] == ["Archive", "Done"]
    assert [command[0] for command in deployment.commands()].count("validate") == 1
    assert deployment.rows("order_kpis") == before


def test_a_killed_worker_is_started_again(deployment: Deployment, tmp_path: Path) -> None:
    orders = shop.csv_bytes(shop.orders(range(1, 30)))
    (deployment.home / "kill-validate").write_text("0.2")
    (deployment.home / "kill-transform").write_text("0.2")
    deployment.upload("orders/a.csv", orders)
    deployment.succeed(1)
    names = [command[0] for command in deployment.commands()]
    assert names == ["validate", "validate", "transform", "transform"]
    shop.expect_kpis(deployment, tmp_path, {"orders": [orders]})


def test_wrong_use_is_not_retried(deployment: Deployment) -> None:
    messages = deployment.subscribe()
    deployment.exit_next("validate", 2)
    deployment.upload("orders/a.csv", shop.csv_bytes(shop.orders(range(1, 9))))
    (execution,) = deployment.wait(1)
    assert execution["status"] == "FAILED"
    assert deployment.states_of(execution)[2:] == [
        "Validate",
        "IsValidateRetried",
        "NotifyFailure",
        "Failed",
    ]
    (message,) = messages
    assert message["exit_code"] == 2
    assert message["runbook"] == "docs/runbook.md#failed-ingest-executions"


def test_not_now_is_asked_again_until_it_succeeds(cloud: Cloud, tmp_path: Path) -> None:
    waits = f"exit_code = {NOT_NOW} ? {MAX_WAIT_S}"
    whole = without_batches(cloud.template)
    assert waits in whole
    template = whole.replace(waits, f"exit_code = {NOT_NOW} ? 1")
    deployment = Deployment.create(cloud.emulator, template, cloud.home)
    orders = shop.csv_bytes(shop.orders(range(1, 9)))
    deployment.exit_next("transform", NOT_NOW)
    deployment.upload("orders/a.csv", orders)
    (execution,) = deployment.succeed(1)
    entered = deployment.states_of(execution)
    first = entered.index("Transform")
    assert entered[first : first + 4] == [
        "Transform",
        "IsTransformRetried",
        "WaitForTransform",
        "Transform",
    ]
    shop.expect_kpis(deployment, tmp_path, {"orders": [orders]})


def test_a_task_out_of_memory_is_retried_on_a_larger_one(deployment: Deployment) -> None:
    deployment.exit_next("validate", 137)
    deployment.upload("orders/a.csv", shop.csv_bytes(shop.orders(range(1, 9))))
    (execution,) = deployment.succeed(1)
    ecs = deployment.client("ecs")
    sizes = sorted(
        int(task["overrides"]["cpu"])
        for cluster in ecs.list_clusters()["clusterArns"]
        if f"ShopKpi-{deployment.stage}-" in cluster
        for status in ("RUNNING", "STOPPED")
        for arn in ecs.list_tasks(cluster=cluster, desiredStatus=status)["taskArns"]
        for task in ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"]
        if task["overrides"]["containerOverrides"][0]["command"][0] == "validate"
    )
    assert sizes == [2048, 4096]
    assert "WaitForValidate" in deployment.states_of(execution)


def test_a_final_failure_is_reported_and_the_object_stays(deployment: Deployment) -> None:
    messages = deployment.subscribe()
    # No version of this id exists, so no attempt can succeed.
    deployment.start("intake", event(deployment, "orders/gone.csv", "no-such-version", 100))
    (execution,) = deployment.wait(1)
    assert execution["status"] == "FAILED"
    assert execution["error"] == "States.TaskFailed"
    assert [command[0] for command in deployment.commands()] == ["validate"] * 4
    (message,) = messages
    assert message["event"] == "ingest.failed"
    assert message["execution"] == execution["executionArn"]


def test_uploads_in_a_burst_lose_nothing(deployment: Deployment, tmp_path: Path) -> None:
    uploads: dict[str, list[bytes]] = {"products": [shop.csv_bytes(shop.products())]}
    for part in range(5):
        orders = shop.orders(range(100 * part + 1, 100 * part + 20), seed=part)
        uploads.setdefault("orders", []).append(shop.csv_bytes(orders))
        uploads.setdefault("order_items", []).append(shop.csv_bytes(shop.items(orders, seed=part)))
    count = 0
    for dataset, bodies in uploads.items():
        for number, body in enumerate(bodies):
            deployment.upload(f"{dataset}/part-{number}.csv", body)
            count += 1
    deployment.succeed(count)
    shop.expect_kpis(deployment, tmp_path, uploads)
    assert deployment.keys("InputBucket") == []


def test_the_sweep_starts_what_nothing_picked_up(deployment: Deployment, tmp_path: Path) -> None:
    events = deployment.client("events")
    for rule in events.list_rules()["Rules"]:
        if rule["Name"].startswith(f"{deployment.stack}-Intake"):
            events.disable_rule(Name=rule["Name"])
    body = shop.csv_bytes(shop.orders(range(1, 9)))
    deployment.upload("orders/missed.csv", body)
    deployment.upload("elsewhere/not-ours.csv", body)
    deployment.upload("orders/", b"")
    deployment.start("sweep", {"again": ""})
    (swept,) = deployment.wait(1, "sweep")
    assert swept["status"] == "SUCCEEDED"
    (execution,) = deployment.succeed(1)
    # The name that the lost event would have given: the event may still come.
    assert "-" not in execution["name"]
    shop.expect_kpis(deployment, tmp_path, {"orders": [body]})
    assert deployment.keys("InputBucket") == ["elsewhere/not-ours.csv", "orders/"]


def test_the_sweep_starts_no_execution_twice(deployment: Deployment, tmp_path: Path) -> None:
    body = shop.csv_bytes(shop.orders(range(1, 9)))
    deployment.exit_next("validate", 2)
    deployment.upload("orders/a.csv", body)
    (execution,) = deployment.wait(1)
    assert execution["status"] == "FAILED"
    for count in (1, 2):
        deployment.start("sweep", {"again": ""})
        deployment.wait(count, "sweep")
    deployment.wait(3, "intake")
    assert len(deployment.executions()) == 1
    # An operator may start it all the same.
    deployment.start("sweep", {"again": "by-hand"})
    deployment.wait(3, "sweep")
    _, again = deployment.wait(2)
    assert again["name"] == f"{execution['name']}-by-hand"
    assert again["status"] == "SUCCEEDED"
    shop.expect_kpis(deployment, tmp_path, {"orders": [body]})


def test_the_sweep_of_an_empty_bucket_succeeds(deployment: Deployment) -> None:
    deployment.start("sweep", {"again": ""})
    (swept,) = deployment.wait(1, "sweep")
    assert swept["status"] == "SUCCEEDED"
    assert deployment.states_of(swept) == ["ListOneKey", "IsEmpty", "Swept"]


def test_a_huge_object_is_validated_in_byte_ranges(deployment: Deployment, tmp_path: Path) -> None:
    # The template splits what is larger than 2 MiB into ranges of 2 MiB.
    orders = shop.orders(range(1, 60_000))
    body = shop.csv_bytes(orders)
    assert len(body) > 2 * 2**20
    deployment.upload("orders/huge.csv", body)
    (execution,) = deployment.succeed(1)
    assert deployment.states_of(execution) == [
        "FindEntry",
        "IsCommitted",
        "PlanRanges",
        "ValidateRanges",
        "CommitRanges",
        "ReadVerdict",
        "Verdict",
        "HasManyDays",
        "PlanDays",
        "TransformDays",
        "Transform",
        "IsCopyable",
        "CopyToArchive",
        "DeleteFromInput",
        "Done",
    ]
    ranges = [command for command in deployment.commands() if "--range" in command]
    assert len(ranges) >= 2
    slices = [command for command in deployment.commands() if "--from" in command]
    assert slices
    shop.expect_kpis(deployment, tmp_path, {"orders": [body]})


def test_an_object_that_no_single_copy_takes_is_moved_in_parts(cloud: Cloud) -> None:
    # CopyObject takes 5 GB, the template uses it up to 1 GiB; here up to 1 MiB.
    limit = f"$states.input.size <= {COPY_LIMIT_BYTES} and"
    whole = without_batches(cloud.template)
    assert limit in whole
    template = whole.replace(limit, f"$states.input.size <= {2**20} and")
    deployment = Deployment.create(cloud.emulator, template, cloud.home)
    noise = random.Random(1)
    rows = [
        {**row, "name": base64.b64encode(noise.randbytes(900_000)).decode()}
        for row in shop.products(12)
    ]
    body = gzip.compress(shop.csv_bytes(rows), 1)
    assert len(body) > PART_BYTES
    version = deployment.upload("products/large.csv.gz", body)
    (execution,) = deployment.succeed(1)
    assert deployment.states_of(execution)[-3:] == ["IsCopyable", "Archive", "Done"]
    assert [command[:4] for command in deployment.commands()][-1] == [
        "archive",
        f"s3://{deployment.outputs['InputBucket']}/products/large.csv.gz",
        "--version-id",
        version,
    ]
    (key,) = deployment.keys("ArchiveBucket")
    assert deployment.read("ArchiveBucket", key) == body
    head = deployment.s3.head_object(Bucket=deployment.outputs["ArchiveBucket"], Key=key)
    # The etag of a multipart upload ends with the number of its parts.
    parts = -(-len(body) // (COPY_PART_FACTOR * PART_BYTES))
    assert int(head["ETag"].strip('"').partition("-")[2]) == parts
    assert deployment.keys("InputBucket") == []


def test_an_object_with_a_long_key_is_archived(deployment: Deployment, tmp_path: Path) -> None:
    orders = shop.csv_bytes(shop.orders(range(1, 9)))
    wrong = b"nothing,that,belongs,here\n1,2,3,4\n"
    deployment.upload(f"orders/{'a' * 1000}.csv", orders)
    deployment.upload(f"orders/{'b' * 1000}.csv", wrong)
    executions = deployment.succeed(2)
    for one in executions:
        assert deployment.states_of(one)[-2] in ("Archive", "NotifyRefusal")
    assert deployment.keys("InputBucket") == []
    (archived,) = deployment.keys("ArchiveBucket", "archive/")
    assert deployment.read("ArchiveBucket", archived) == orders
    refused, verdict = deployment.keys("ArchiveBucket", "quarantine/")
    assert deployment.read("ArchiveBucket", refused) == wrong
    assert "b" * 1000 in json.loads(deployment.read("ArchiveBucket", verdict))["url"]
    shop.expect_kpis(deployment, tmp_path, {"orders": [orders]})
