"""The worker's calls of AWS, recorded on an emulator, against the rights of its roles.

The emulator lets every call pass. Here each role may do what its commands call, and a role has no
action that none of its commands calls.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import boto3
import pytest
from aiobotocore.client import AioBaseClient
from botocore import xform_name
from botocore.exceptions import ClientError

from tests.support.commands import shopkpi
from tests.support.emulators import Emulator, unique_name
from tests.support.uploads import event
from tests.unit.infra.templates import ROOT, Json, Template, as_list, resolve
from worker.index import stored
from worker.maintenance import collection
from worker.transform import transform
from worker.transform.limits import TransformLimits


@dataclass(frozen=True)
class Right:
    """An action on a resource, as IAM asks for it.

    Attributes:
        resource: ARN, with the logical id of the bucket or table.
        leading_key: Partition key of the item; empty where no policy asks for it.
    """

    action: str
    resource: str
    leading_key: str = ""


S3_WRITES = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "CompleteMultipartUpload": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "PutObject": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "UploadPartCopy": "s3:PutObject",
}
"""Operation -> action that it needs (S3 user guide, "Required permissions for S3 API")."""

TRANSACTED = {
    "ConditionCheck": "ConditionCheckItem",
    "Delete": "DeleteItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
}
"""Member of TransactWriteItems -> action (DynamoDB developer guide, "IAM and transactions")."""


def needed_of_s3(operation: str, call: Json) -> Iterator[Right]:
    bucket = f"arn:{call['Bucket']}"
    if operation == "ListObjectsV2":
        yield Right("s3:ListBucket", bucket)
        return
    place = f"{bucket}/{call['Key']}"
    if operation in ("GetObject", "HeadObject"):
        yield Right(f"s3:GetObject{'Version' * ('VersionId' in call)}", place)
    elif operation == "DeleteObject":
        yield Right(f"s3:DeleteObject{'Version' * ('VersionId' in call)}", place)
    else:
        yield Right(S3_WRITES[operation], place)
        # A larger object is sent in parts, which a writer that fails removes.
        yield Right("s3:AbortMultipartUpload", place)
    if operation == "UploadPartCopy":
        yield from needed_of_s3("GetObject", call["CopySource"])


def needed_of_dynamodb(operation: str, call: Json) -> Iterator[Right]:
    if operation == "TransactWriteItems":
        for write in call["TransactItems"]:
            ((kind, body),) = write.items()
            yield of_item(TRANSACTED[kind], body)
    elif operation == "BatchGetItem":
        for table in call["RequestItems"]:
            yield Right("dynamodb:BatchGetItem", f"arn:{table}")
    else:
        assert "IndexName" not in call, "a query of an index needs a right on the index"
        yield of_item(operation, call)


def of_item(action: str, call: Json) -> Right:
    item: Json = call.get("Key") or call.get("Item") or {}
    leading_key: str = item.get("kind", {}).get("S", "")
    return Right(f"dynamodb:{action}", f"arn:{call['TableName']}", leading_key)


def needed_of_sqs(operation: str, call: Json) -> Iterator[Right]:
    """A batch needs the right of its action (SQS developer guide, "API permissions")."""
    queue = call.get("QueueName") or call["QueueUrl"].rsplit("/", 1)[-1]
    yield Right(f"sqs:{operation.removesuffix('Batch')}", f"arn:{queue}")


NEEDED = {"s3": needed_of_s3, "dynamodb": needed_of_dynamodb, "sqs": needed_of_sqs}


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> set[Right]:
    """Rights that the calls of this test need."""
    found: set[Right] = set()
    send: Callable[..., Awaitable[Any]] = vars(AioBaseClient)["_make_api_call"]

    async def recording(self: Any, operation: str, call: Json) -> Any:
        service: str = self.meta.service_model.service_name
        found.update(NEEDED[service](operation, call))
        try:
            return await send(self, operation, call)
        except ClientError as error:
            # Without the right to list, S3 answers 403 where nothing is.
            if service == "s3" and error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                found.add(Right("s3:ListBucket", f"arn:{call['Bucket']}"))
            raise

    monkeypatch.setattr(AioBaseClient, "_make_api_call", recording)
    return found


@dataclass
class Shop:
    """Buckets and tables of a deployment on the emulator, and the worker's commands on them."""

    home: Path
    environment: Mapping[str, str]
    used: set[Right]
    prefix: str

    def bucket(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    @property
    def s3(self) -> Any:
        return self.client("s3")

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def upload(self, key: str, body: bytes) -> list[str]:
        """Upload an object; return the words that name its version."""
        bucket = self.bucket("input")
        version = self.s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"]
        return [f"s3://{bucket}/{key}", "--version-id", version]

    def make_queue(self) -> str:
        """Make the queue of uploads, where each receive is the last; return its URL."""
        sqs = self.client("sqs")
        dead = sqs.create_queue(QueueName=self.bucket("deadletters"))["QueueUrl"]
        names = ["QueueArn"]
        arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=names)["Attributes"][
            "QueueArn"
        ]
        policy = {"deadLetterTargetArn": arn, "maxReceiveCount": 1}
        attributes = {"RedrivePolicy": json.dumps(policy)}
        made = sqs.create_queue(QueueName=self.bucket("queue"), Attributes=attributes)
        url: str = made["QueueUrl"]
        return url

    def send(self, queue: str, url: str, _: str = "", version: str = "none") -> None:
        """Send the event of an object version."""
        bucket, _, key = url.removeprefix("s3://").partition("/")
        body = event(bucket, key, version_id=version)
        self.client("sqs").send_message(QueueUrl=queue, MessageBody=body)

    def run(self, *words: str, code: int = 0) -> set[Right]:
        """Run a command as a task does; return the rights that it needed."""
        self.used.clear()
        done = shopkpi(self.home, *words, **self.environment)
        assert done.code == code, done.err
        return set(self.used)

    def read(self, name: str, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=self.bucket(name), Key=key)["Body"].read()
        return body


@pytest.fixture
def shop(
    ministack: Emulator, tmp_path: Path, used: set[Right], monkeypatch: pytest.MonkeyPatch
) -> Shop:
    prefix = unique_name("rights")
    # The key index of many files, with few.
    defaults = transform.__kwdefaults__ or {}
    monkeypatch.setitem(defaults, "limits", TransformLimits(unindexed_files=0, unpacked_files=1))
    monkeypatch.setattr(stored, "READ_BYTES", 64)  # manifests are larger, so the rest is read too
    monkeypatch.setattr(collection, "MIN_AGE", timedelta(seconds=-60))  # what is unused is old
    environment = {
        **ministack.environment,
        "SHOPKPI_KPIS": "order,category,product",
        "SHOPKPI_STATE": f"dynamodb://{prefix}",
        "SHOPKPI_WORKSPACE": f"s3://{prefix}-clean",
        "SHOPKPI_PROPOSED_CONTRACT": "default",
    }
    made = Shop(tmp_path, environment, used, prefix)
    for name in ("input", "clean", "archive"):
        made.s3.create_bucket(Bucket=made.bucket(name))
        made.s3.put_bucket_versioning(
            Bucket=made.bucket(name), VersioningConfiguration={"Status": "Enabled"}
        )
    made.run("tables", "create")
    return made


ORDERS = b"order_id,user_id,status,created_at\n"
ITEMS = b"id,order_id,product_id,status,created_at,sale_price\n"
PRODUCTS = b"id,category,brand,name\n"


def orders_of_many_customers(count: int) -> Iterator[bytes]:
    """Yield rows whose clean object is larger than what it is opened by.

    The rest of it is read by its version, which is another right.
    """
    numbers = random.Random(1)
    for number in range(1_000, 1_000 + count):
        yield b"%d,%d,shipped,2025-03-01T10:00:00\n" % (number, numbers.getrandbits(60))


def rights_of_commands(shop: Shop) -> dict[str, set[Right]]:
    """Run what the state machines run; return role -> rights that its commands needed."""
    used: dict[str, set[Right]] = {}

    def run(role: str, *words: str) -> None:
        used.setdefault(role, set()).update(shop.run(*words))

    def upload(key: str, body: bytes) -> list[str]:
        source = shop.upload(key, body)
        run("Validate", "validate", *source)
        run("Transform", "transform")
        return source

    clean, archive = f"s3://{shop.bucket('clean')}", f"s3://{shop.bucket('archive')}"
    upload("order_items/a.csv", ITEMS + b"1,1,1,shipped,2025-03-01T10:00:00,5.00\n")
    one_order = b"1,7,shipped,2025-03-01T10:00:00\n"
    first = upload("orders/a.csv", ORDERS + one_order)  # its item has waited
    upload("orders/many.csv", ORDERS + b"".join(orders_of_many_customers(20_000)))
    upload("products/a.csv", PRODUCTS + b"1,Hats,A,B\n")
    upload("products/b.csv", PRODUCTS + b"1,Shoes,A,B\n")  # a row of category_kpis goes
    run("Archive", "archive", *first, "--to", archive)
    wrong = upload("orders/wrong.csv", b"nothing\n" * 2**20)  # moved in parts
    run("Archive", "archive", *wrong, "--to", archive)

    queue = shop.make_queue()
    shop.send(queue, *shop.upload("orders/queued.csv", ORDERS + one_order))
    shop.send(queue, f"s3://{shop.bucket('input')}/orders/_SUCCESS")  # deleted unread
    shop.send(queue, f"s3://{shop.bucket('input')}/orders/gone.csv")  # a dead letter
    batch = ["--queue", queue, "--batch", f"{clean}/plans/batches/1"]
    run("Validate", "validate", *batch)
    run("Transform", "transform", *batch)
    run("Archive", "archive", *batch, "--to", archive)

    lines = [one_order.replace(b"1,", b"%d," % number, 1) for number in (1, 2, 3)]
    huge = shop.upload("orders/huge.csv", ORDERS + b"".join(lines))
    plans = []
    for size in ("70", "40"):
        output = f"{clean}/plans/{size}/ranges.json"
        run("Validate", "plan", *huge, "--split-bytes", size, "--output", output)
        plans.append(json.loads(shop.read("clean", f"plans/{size}/ranges.json")))
    # The clean file of a range of another plan is deleted by the commit.
    for each in (plans[0][0], *plans[1]):
        run("Validate", "validate", *huge, "--range", each["range"])
    run("Validate", "validate", *huge, "--commit-ranges")
    run("Transform", "plan", "--days", "31", "--output", f"{clean}/plans/days.json")
    for each in json.loads(shop.read("clean", "plans/days.json")):
        run("Transform", "transform", "--from", each["from"], "--to", each["to"])
    run("Transform", "transform")
    run("Audit", "audit", "--sample", "3", "--during-uploads")
    for key in (
        f"index/{'a' * 32}.run",
        f"packs/{'a' * 32}.pack",
        f"clean/orders/uploaded_on=2025-03-01/{'0' * 16}-{'1' * 8}.parquet",
        f"rejects/orders/uploaded_on=2025-03-01/{'0' * 16}-{'1' * 8}.parquet",
    ):
        shop.s3.put_object(Bucket=shop.bucket("clean"), Key=key, Body=b"unused")
    run("Maintain", "maintain")
    run("Operator", "retract", huge[0], "--reason", "a test")
    run("Operator", "restore", huge[0], "--reason", "a test")
    contract = ["string-ids", "--raw", archive]
    run("Operator", "contract", "propose", *contract, "--output", f"{clean}/plans/proposal.json")
    run("Operator", "contract", "adopt", *contract, "--format", "json")
    # What an operation changes is validated and transformed as after an upload, without the queue.
    used["Operator"] |= {
        one for one in used["Validate"] | used["Transform"] if not one.action.startswith("sqs:")
    }
    return used


def real_names(template: Template, prefix: str) -> dict[str, str]:
    """Return logical id -> name on the emulator of each bucket and table."""
    names = {}
    for kind, words in (
        ("AWS::S3::Bucket", "Buckets"),
        ("AWS::DynamoDB::Table", "Tables"),
        ("AWS::SQS::Queue", "Uploads"),
    ):
        for logical_id, one in template.of_type(kind).items():
            table = one["Properties"].get("TableName", "").rpartition("-")[2]
            bucket = logical_id[:-8].removeprefix(words).lower()
            names[logical_id] = f"{prefix}-{table or bucket}"
    return names


def allowed(template: Template, role: str, names: Mapping[str, str]) -> Iterator[Right]:
    """Yield the rights of a role on buckets and tables; resources are patterns."""
    (full_name,) = (one for one in template.of_type("AWS::IAM::Role") if one.startswith(role))
    for policy in template.of_type("AWS::IAM::Policy").values():
        if {"Ref": full_name} not in policy["Properties"]["Roles"]:
            continue
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            conditions = statement.get("Condition", {}).get("ForAllValues:StringLike", {})
            for leading_key in conditions.get("dynamodb:LeadingKeys", [""]):
                for action in as_list(statement["Action"]):
                    for one in as_list(statement["Resource"]):
                        resource = resolve(one)
                        for logical_id, name in names.items():
                            resource = resource.replace(logical_id, name)
                        yield Right(action, resource, leading_key)


def covers(right: Right, needed: Right) -> bool:
    return (
        right.action == needed.action
        and fnmatchcase(needed.resource, right.resource)
        and (not right.leading_key or fnmatchcase(needed.leading_key, right.leading_key))
    )


READ_ITEMS = {"dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"}


def kind_of(right: Right) -> tuple[str, str]:
    """Return what a right allows, and the bucket or kind of table.

    How a table is read, and which KPI table, follows from the number of rows and files.
    """
    resource = right.resource.split("/")[0]
    action = "read items" if right.action in READ_ITEMS else right.action
    return action, "kpis" if resource.endswith("_kpis_v2") else resource


UNVERSIONED = {"s3:GetObject": "s3:GetObjectVersion", "s3:DeleteObject": "s3:DeleteObjectVersion"}
"""Action that an object needs which came while versions were off -> the one that others need."""


def test_roles_may_do_what_their_commands_call_and_no_more(template: Template, shop: Shop) -> None:
    names = real_names(template, shop.prefix)
    for role, used in rights_of_commands(shop).items():
        granted = list(allowed(template, f"Compute{role}Role", names))
        refused = {one for one in used if not any(covers(right, one) for right in granted)}
        assert not refused, role
        needed = {kind_of(one) for one in used}
        assert not set(unused(granted, needed)), role


def unused(granted: Iterable[Right], needed: Set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the rights that no call has needed."""
    read = {on for action, on in needed if action.startswith("s3:GetObject")}
    for action, on in {kind_of(right) for right in granted} - needed:
        # Only where an object is missing does S3 ask whether somebody may list.
        if action == "s3:ListBucket" and on in read:
            continue
        if (UNVERSIONED.get(action), on) not in needed:
            yield action, on


def test_every_call_of_the_worker_is_in_the_tables_of_this_test() -> None:
    called = {
        word
        for path in (ROOT / "worker").rglob("*.py")
        for word in re.findall(r"client\.([a-z_]+)\(", path.read_text("utf-8"))
    }
    # `shopkpi tables create` and `maintain --rebuild`, which no task runs.
    by_hand = {"create_table", "describe_table", "scan"}
    assert called - by_hand == {
        *map(xform_name, S3_WRITES),
        *("batch_get_item", "delete_object", "get_item", "get_object", "head_object"),
        *("put_item", "query", "transact_write_items"),
    }
