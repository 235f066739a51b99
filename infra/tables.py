"""DynamoDB tables of the ledger and the KPIs; `kpi.aggregation.tables` defines keys and indexes."""

from __future__ import annotations

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from kpi.aggregation.tables import KPI_TABLES, LEDGER_PARTITION_KEY, LEDGER_SORT_KEY, LEDGER_TABLE


class Tables(Construct):
    """Tables of one deployment: billed on demand, with point-in-time recovery over 35 days.

    Release 0.1.0 had KPI tables without a shop in their keys. Those here have other names, so that
    an update can create them before it gives up the former ones. These stay where the stage keeps
    its data; elsewhere the update deletes them at its end.

    Attributes:
        ledger: One entry per source object.
        kpis: KPI table name -> table.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        prefix: str,
        removal: RemovalPolicy,
        protect: bool,
    ) -> None:
        super().__init__(scope, construct_id)
        self._prefix = prefix
        self._removal = removal
        self._protect = protect
        self.ledger = self._table(LEDGER_TABLE, LEDGER_PARTITION_KEY, LEDGER_SORT_KEY)
        self.kpis = {
            table.name: self._table(
                table.name, table.partition_key, table.sort_key, stored_name=table.dynamodb_name
            )
            for table in KPI_TABLES.values()
        }
        for name, table in self.kpis.items():
            for index in KPI_TABLES[name].indexes:
                table.add_global_secondary_index(
                    index_name=index.name,
                    partition_key=_key(index.partition_key),
                    sort_key=_key(index.sort_key),
                )

    def _table(
        self, name: str, partition_key: str, sort_key: str, *, stored_name: str | None = None
    ) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            name.title().replace("_", ""),
            table_name=f"{self._prefix}-{stored_name or name}",
            partition_key=_key(partition_key),
            sort_key=_key(sort_key),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=self._protect,
            removal_policy=self._removal,
        )


def _key(name: str) -> dynamodb.Attribute:
    """Return a key attribute; keys are text (dates as YYYY-MM-DD), so that any type of id fits."""
    return dynamodb.Attribute(name=name, type=dynamodb.AttributeType.STRING)
