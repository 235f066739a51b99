"""Glue tables over the clean zone for Athena, with partition projection instead of a crawler."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from aws_cdk import Aws
from aws_cdk import aws_athena as athena
from aws_cdk import aws_glue as glue
from constructs import Construct

from infra.analytics.named_queries import named_queries
from infra.buckets import ATHENA_FOLDER, Buckets
from infra.settings import Settings
from kpi.contract.model import Contract
from kpi.csv.header import clean_schema
from kpi.kernels.uuids import UUID
from kpi.mapping.clean_rows import clean_schema as mapped_schema
from kpi.validation.rejects import REJECTS

GIB = 2**30

# First day of the partition projection: Athena does not see uploads before it.
FIRST_PARTITION = "2020-01-01"


class GlueCatalog(Construct):
    """Glue database over the clean zone and the rejects, and an Athena workgroup.

    Tables have the columns of the contract and the partition `uploaded_on`, the day of the upload
    in UTC. A worker writes the clean object before it commits the ledger entry. Until that commit
    Athena sees rows that the KPIs do not count yet; after a crash it sees them until the retry.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, settings: Settings, buckets: Buckets
    ) -> None:
        super().__init__(scope, construct_id)
        self._clean_bucket = buckets.clean.bucket_name
        name = settings.database
        self._database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=Aws.ACCOUNT_ID,
            database_input=glue.CfnDatabase.DatabaseInputProperty(
                name=name, description="Clean zone of shopkpi"
            ),
        )
        contract = settings.contract_definition
        for table, (schema, folder) in zone_tables(contract).items():
            self._table(table, name, schema, folder)
        queries = named_queries(contract, iceberg=settings.iceberg_tables)
        self._add_queries(queries, name, self._add_workgroup(settings, buckets))

    def _add_workgroup(self, settings: Settings, buckets: Buckets) -> athena.CfnWorkGroup:
        return athena.CfnWorkGroup(
            self,
            "WorkGroup",
            name=settings.prefix,
            description="Queries of the clean zone of shopkpi",
            recursive_delete_option=not settings.retain_data,
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                bytes_scanned_cutoff_per_query=settings.athena_scan_limit_gib * GIB,
                engine_version=athena.CfnWorkGroup.EngineVersionProperty(
                    selected_engine_version="Athena engine version 3"
                ),
                result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=f"s3://{buckets.results.bucket_name}/{ATHENA_FOLDER}",
                    encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(
                        encryption_option="SSE_S3"
                    ),
                ),
            ),
        )

    def _add_queries(
        self, queries: Mapping[str, str], database: str, workgroup: athena.CfnWorkGroup
    ) -> None:
        for title, query in queries.items():
            named = athena.CfnNamedQuery(
                self,
                title.title().replace(" ", ""),
                name=title,
                database=database,
                query_string=query,
                work_group=workgroup.name,
            )
            named.add_resource_dependency(workgroup)
            named.add_resource_dependency(self._database)

    def _table(self, name: str, database: str, schema: pa.Schema, folder: str) -> None:
        location = f"s3://{self._clean_bucket}/{folder}/"
        table = glue.CfnTable(
            self,
            name.title().replace("_", ""),
            catalog_id=Aws.ACCOUNT_ID,
            database_name=database,
            table_input=glue.CfnTable.TableInputProperty(
                name=name,
                table_type="EXTERNAL_TABLE",
                partition_keys=[glue.CfnTable.ColumnProperty(name="uploaded_on", type="date")],
                parameters={
                    "EXTERNAL": "TRUE",
                    "classification": "parquet",
                    "projection.enabled": "true",
                    "projection.uploaded_on.type": "date",
                    "projection.uploaded_on.format": "yyyy-MM-dd",
                    "projection.uploaded_on.range": f"{FIRST_PARTITION},NOW",
                    "projection.uploaded_on.interval": "1",
                    "projection.uploaded_on.interval.unit": "DAYS",
                    "storage.location.template": f"{location}uploaded_on=${{uploaded_on}}/",
                },
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    columns=[
                        glue.CfnTable.ColumnProperty(name=field.name, type=hive_type(field.type))
                        for field in schema
                    ],
                    location=location,
                    input_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                    output_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
                    serde_info=glue.CfnTable.SerdeInfoProperty(
                        serialization_library=(
                            "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
                        )
                    ),
                ),
            ),
        )
        table.add_resource_dependency(self._database)


def zone_tables(contract: Contract) -> dict[str, tuple[pa.Schema, str]]:
    """Return table -> schema and folder, of clean rows and of rejects.

    A file that feeds several datasets has one folder of rejects, whose name joins theirs. The
    rejects of an archive whose members have different entries are in no table.
    """
    if contract.shop is None:
        return {
            table: found
            for name, dataset in contract.datasets.items()
            for table, found in (
                (name, (clean_schema(dataset), f"clean/{name}")),
                (f"{name}_rejects", (REJECTS, f"rejects/{name}")),
            )
        }
    tables = {
        name: (mapped_schema(dataset), f"clean/{name}")
        for name, dataset in contract.shop.all_datasets.items()
    }
    for entry in contract.shop.files:
        if entry.feeds:
            joined = "_".join(entry.feeds)
            tables[f"{joined}_rejects"] = REJECTS, f"rejects/{'+'.join(entry.feeds)}"
    return tables


def hive_type(arrow_type: pa.DataType) -> str:
    """Map an Arrow type of the clean zone to its Hive name.

    Raises:
        ValueError: The clean zone has no columns of this type.
    """
    if pa.types.is_dictionary(arrow_type):
        return hive_type(arrow_type.value_type)
    names = {
        pa.int32(): "int",
        pa.int64(): "bigint",
        pa.string(): "string",
        pa.binary(): "binary",
        UUID: "binary",  # Hive has no UUID type
    }
    if pa.types.is_decimal(arrow_type):
        name = f"decimal({arrow_type.precision},{arrow_type.scale})"
    elif pa.types.is_timestamp(arrow_type):
        name = "timestamp"
    elif pa.types.is_map(arrow_type):
        name = f"map<{hive_type(arrow_type.key_type)},{hive_type(arrow_type.item_type)}>"
    elif pa.types.is_list(arrow_type):
        name = f"array<{hive_type(arrow_type.value_type)}>"
    elif pa.types.is_struct(arrow_type):
        name = (
            f"struct<{','.join(f'{field.name}:{hive_type(field.type)}' for field in arrow_type)}>"
        )
    elif arrow_type in names:
        name = names[arrow_type]
    else:
        raise ValueError(f"expected a type of the clean zone, got {arrow_type}")
    return name
