"""Glue tables over the clean zone, and the Athena workgroup."""

from __future__ import annotations

import pyarrow as pa
import pytest

from infra.analytics.glue_catalog import hive_type
from kpi.contract.loading import built_in
from kpi.csv.header import clean_schema
from kpi.kernels.uuids import UUID
from kpi.mapping.clean_rows import clean_schema as mapped_schema
from tests.unit.infra.templates import Json, Template, resolve


def table(deployment: Template, name: str) -> Json:
    (found,) = [
        one["Properties"]["TableInput"]
        for one in deployment.of_type("AWS::Glue::Table").values()
        if one["Properties"]["TableInput"]["Name"] == name
    ]
    return found


@pytest.mark.parametrize("dataset", ["orders", "order_items", "products"])
def test_tables_have_the_columns_of_the_clean_zone(
    template: Template, full: Template, dataset: str
) -> None:
    shop = built_in("shopify").shop
    assert shop is not None
    schemas = (
        (template, clean_schema(built_in("default").datasets[dataset])),
        (full, mapped_schema(shop.all_datasets[dataset])),
    )
    for deployment, schema in schemas:
        described = table(deployment, dataset)
        columns = described["StorageDescriptor"]["Columns"]
        assert [column["Name"] for column in columns] == schema.names
        assert [column["Type"] for column in columns] == [hive_type(one.type) for one in schema]
        assert described["Parameters"]["projection.enabled"] == "true"
        location = resolve(described["Parameters"]["storage.location.template"])
        assert location.endswith(f"/clean/{dataset}/uploaded_on=${{uploaded_on}}/")


def test_a_file_of_two_datasets_has_one_table_of_rejects(full: Template) -> None:
    rejects = table(full, "orders_order_items_rejects")
    location = resolve(rejects["Parameters"]["storage.location.template"])
    assert location.endswith("/rejects/orders+order_items/uploaded_on=${uploaded_on}/")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (pa.int32(), "int"),
        (pa.int64(), "bigint"),
        (pa.string(), "string"),
        (UUID, "binary"),
        (pa.dictionary(pa.int32(), pa.string()), "string"),
        (pa.decimal128(15, 2), "decimal(15,2)"),
        (pa.timestamp("us", tz="UTC"), "timestamp"),
        (pa.map_(pa.string(), pa.string()), "map<string,string>"),
        (
            pa.list_(pa.struct([pa.field("reason", pa.string())])),
            "array<struct<reason:string>>",
        ),
    ],
)
def test_arrow_types_map_to_hive_types(kind: pa.DataType, name: str) -> None:
    assert hive_type(kind) == name


def test_a_type_outside_the_clean_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a type of the clean zone, got float"):
        hive_type(pa.float32())


def test_athena_queries_have_a_limit(template: Template) -> None:
    (group,) = template.of_type("AWS::Athena::WorkGroup").values()
    configuration = group["Properties"]["WorkGroupConfiguration"]
    assert configuration["BytesScannedCutoffPerQuery"] == 10 * 2**30
    assert configuration["EnforceWorkGroupConfiguration"] is True
