"""Uploads in batches: many at once, redelivered, out of order, poisoned; tasks that are killed."""

from __future__ import annotations

import json
from pathlib import Path

from infra.compute import NOT_NOW
from infra.settings import Settings
from tests.e2e.cloud import shop
from tests.e2e.cloud.deployment import Deployment
from tests.e2e.cloud.running import Cloud


def parts(count: int) -> dict[str, list[bytes]]:
    """Files of orders and of their items, and one of products."""
    uploads: dict[str, list[bytes]] = {"products": [shop.csv_bytes(shop.products())]}
    for part in range(count):
        orders = shop.orders(range(100 * part + 1, 100 * part + 20), seed=part)
        uploads.setdefault("orders", []).append(shop.csv_bytes(orders))
        uploads.setdefault("order_items", []).append(shop.csv_bytes(shop.items(orders, seed=part)))
    return uploads


def put_all(deployment: Deployment, uploads: dict[str, list[bytes]]) -> None:
    for dataset, bodies in uploads.items():
        for number, body in enumerate(bodies):
            deployment.upload(f"{dataset}/part-{number}.csv", body)


def test_many_uploads_become_kpis_in_few_tasks(deployment: Deployment, tmp_path: Path) -> None:
    messages = deployment.subscribe()
    uploads = parts(20)
    put_all(deployment, uploads)
    deployment.upload("orders/wrong.csv", b"nothing,that,belongs,here\n1,2,3,4\n")
    executions = deployment.drain(42)
    assert {one["status"] for one in executions} == {"SUCCEEDED"}
    shop.expect_kpis(deployment, tmp_path, uploads)
    assert deployment.keys("InputBucket") == []
    commands = [command[0] for command in deployment.commands()]
    # 42 files: a task for each would be 126.
    assert len(commands) <= 24, commands
    assert {"validate", "transform", "archive"} <= set(commands)
    told = list(messages)
    assert [one["event"] for one in told] == ["batch.refused"]
    assert told[0]["first"][0]["url"].endswith("orders/wrong.csv")
    (refused,) = [one for one in deployment.keys("ArchiveBucket", "quarantine/") if "json" in one]
    assert json.loads(deployment.read("ArchiveBucket", refused))["verdict"] == "refused"


def test_messages_that_come_twice_and_in_any_order_count_once(
    deployment: Deployment, tmp_path: Path
) -> None:
    orders = shop.orders(range(1, 30))
    body = shop.csv_bytes(orders)
    version = deployment.upload("orders/a.csv", body)
    items = shop.csv_bytes(shop.items(orders))
    deployment.upload("order_items/a.csv", items)
    for _ in range(2):
        deployment.send("orders/a.csv", version, len(body))
    deployment.drain(2)
    # After the file has gone to the archive, too.
    deployment.send("orders/a.csv", version, len(body))
    deployment.take_uploads()
    deployment.drain(3)
    commits = [one for one in deployment.events("source.committed") if "/orders/" in one["url"]]
    assert len(commits) == 1  # of two tasks that read it at once, one commits it
    shop.expect_kpis(deployment, tmp_path, {"orders": [body], "order_items": [items]})
    assert deployment.messages("UploadDeadLetters") == 0


def test_a_poisoned_message_stops_no_other(deployment: Deployment, tmp_path: Path) -> None:
    body = shop.csv_bytes(shop.orders(range(1, 9)))
    deployment.upload("orders/a.csv", body)
    deployment.send("orders/gone.csv", "no-such-version", 100)
    deployment.send_text("no event")
    deployment.wait_for_log("batch.closed")
    shop.expect_kpis(deployment, tmp_path, {"orders": [body]})
    # Both come back later: the queue has them, and nothing else.
    assert deployment.messages() == 2


def test_a_killed_task_goes_on_with_its_messages(deployment: Deployment, tmp_path: Path) -> None:
    for command, when in (
        ("validate", "source.committed"),
        ("transform", "0.3"),
        ("archive", "source.moved"),
    ):
        (deployment.home / f"kill-{command}").write_text(when)
    uploads = parts(3)
    put_all(deployment, uploads)
    executions = deployment.drain(7)
    assert {one["status"] for one in executions} == {"SUCCEEDED"}
    shop.expect_kpis(deployment, tmp_path, uploads)
    assert deployment.keys("InputBucket") == []
    retried = {name for one in executions for name in deployment.states_of(one)}
    assert {"WaitForValidate", "WaitForTransform", "WaitForArchive"} <= retried


def test_a_failed_execution_leaves_its_messages_to_another(cloud: Cloud, tmp_path: Path) -> None:
    # Messages come back after seconds, instead of half an hour.
    template = replaced(cloud.template, '"VisibilityTimeout": 1800', '"VisibilityTimeout": 3')
    deployment = Deployment.create(cloud.emulator, template, cloud.home)
    deployment.exit_next("transform", 2)
    messages = deployment.subscribe()
    body = shop.csv_bytes(shop.orders(range(1, 9)))
    deployment.upload("orders/a.csv", body)
    deployment.wait_for_state("batches", "Failed")
    assert [one["event"] for one in messages] == ["batches.failed"]
    assert deployment.messages() == 1
    assert deployment.keys("InputBucket") == ["orders/a.csv"]
    deployment.take_uploads()
    deployment.drain(1)
    shop.expect_kpis(deployment, tmp_path, {"orders": [body]})
    assert deployment.keys("InputBucket") == []
    assert len(deployment.events("source.committed")) == 1


def test_no_more_executions_go_on_than_the_setting_says(cloud: Cloud) -> None:
    limit = f"$states.input.ahead >= {Settings().batch_concurrency}"
    template = replaced(cloud.template, limit, "$states.input.ahead >= 1")
    deployment = Deployment.create(cloud.emulator, template, cloud.home)
    deployment.exit_next("validate", NOT_NOW)  # asked again after a while
    deployment.upload("orders/a.csv", shop.csv_bytes(shop.orders(range(1, 9))))
    deployment.wait_for_state("batches", "WaitForValidate")
    busy = deployment.start("batches", {"count": False})
    assert deployment.end_of(busy)["status"] == "SUCCEEDED"
    assert deployment.states_of({"executionArn": busy})[-1] == "Busy"
    deployment.drain(1)


def replaced(template: str, old: str, new: str) -> str:
    assert old in template
    return template.replace(old, new)


def test_the_sweep_enqueues_what_nothing_picked_up(deployment: Deployment, tmp_path: Path) -> None:
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
    deployment.drain(1)
    shop.expect_kpis(deployment, tmp_path, {"orders": [body]})
    assert deployment.keys("InputBucket") == ["elsewhere/not-ours.csv", "orders/"]


def test_batches_take_the_warm_service(warm_deployment: Deployment, tmp_path: Path) -> None:
    deployment = warm_deployment
    uploads = parts(3)
    put_all(deployment, uploads)
    deployment.upload("orders/wrong.csv", b"nothing,that,belongs,here\n1,2,3,4\n")
    executions = deployment.drain(8)
    assert {one["status"] for one in executions} == {"SUCCEEDED"}
    # No task of their own but for the moves.
    assert {command[0] for command in deployment.commands()} == {"archive", "serve"}
    shop.expect_kpis(deployment, tmp_path, uploads)
    jobs = deployment.events("job.succeeded")
    assert {job["command"] for job in jobs} == {"validate", "transform"}


def test_a_task_does_what_the_warm_service_fails_to_do(
    cloud: Cloud, warm_template: str, tmp_path: Path
) -> None:
    asleep = replaced(warm_template, '"DesiredCount": 1', '"DesiredCount": 0')
    deployment = Deployment.create(cloud.emulator, asleep, cloud.home)
    orders = shop.csv_bytes(shop.orders(range(1, 9)))
    deployment.upload("orders/a.csv", orders)
    # A worker reports failure. The emulator has no heartbeat timeout for a silent one.
    failed = [deployment.fail_next_job() for _ in ("validate", "transform")]
    assert [command[0] for command in failed] == ["validate", "transform"]
    deployment.drain(1)
    shop.expect_kpis(deployment, tmp_path, {"orders": [orders]})
