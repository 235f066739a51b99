"""Iceberg tables in S3, registered in AWS Glue: over an emulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import pytest
from pyiceberg.catalog.glue import GlueCatalog

from tests.erasure.places import texts_of, whole_value
from tests.erasure.shop import CUSTOMER, put_shop
from tests.support.commands import Done, shopkpi
from tests.support.emulators import Emulator, unique_name

pytestmark = pytest.mark.slow


class Cloud:
    """A shop in S3, DynamoDB and Glue."""

    def __init__(self, home: Path, ministack: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.name = unique_name("ice")
        self.environment = {
            **ministack.environment,
            "SHOPKPI_STATE": f"dynamodb://{self.name}",
            "SHOPKPI_WORKSPACE": f"s3://{self.name}",
        }
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)  # of boto3 too
        self.s3 = boto3.client("s3")
        self.s3.create_bucket(Bucket=self.name)
        self.url = self.environment["AWS_ENDPOINT_URL"]

    def run(self, *words: str) -> Done:
        done = shopkpi(self.home, *words, **self.environment)
        assert done.code == 0, done.err
        return done

    def maintain(self) -> dict[str, Any]:
        done = self.run("maintain", "--iceberg", f"glue://{self.name}", "--format", "json")
        return {event["event"]: event for event in done.events}["iceberg.finished"]

    def read(self, name: str) -> list[dict[str, Any]]:
        catalog = GlueCatalog("reader", **{"s3.endpoint": self.url, "s3.region": "us-east-1"})
        rows: list[dict[str, Any]] = (
            catalog.load_table((self.name, name)).scan().to_arrow().to_pylist()
        )
        catalog.close()
        return rows

    def mentions(self, identifier: str) -> list[str]:
        """Name the objects that have an id."""
        found, whole = [], whole_value(identifier)
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name):
            for one in page.get("Contents", []):
                data = self.s3.get_object(Bucket=self.name, Key=one["Key"])["Body"].read()
                if any(whole.search(text) for _, text in texts_of(one["Key"], data)):
                    found.append(one["Key"])
        return found


def test_tables_in_glue_have_the_current_rows(
    tmp_path: Path, ministack: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = Cloud(tmp_path, ministack, monkeypatch)
    put_shop(tmp_path)
    cloud.run("tables", "create")
    cloud.run("run", "shop")
    done = cloud.maintain()
    assert set(done["tables"]) == {"current_orders", "current_order_items", "current_products"}
    rows = cloud.read("current_orders")
    assert len(rows) == done["tables"]["current_orders"]["rows"] == 45
    assert {row["status"] for row in rows if row["order_id"] == 3} == {"shipped"}
    assert cloud.maintain()["tables"] == {}
    assert [one for one in cloud.mentions(CUSTOMER) if one.startswith("iceberg/")]

    cloud.run("erase-customer", CUSTOMER)
    assert cloud.mentions(CUSTOMER) == []
    cloud.maintain()
    assert len(cloud.read("current_orders")) == 45
    assert cloud.mentions(CUSTOMER) == []
