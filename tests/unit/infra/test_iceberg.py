"""A deployment with Iceberg tables: who writes them, with which rights, and who reads them."""

from __future__ import annotations

import duckdb
import pytest

from infra.analytics.named_queries import named_queries
from kpi.contract.loading import built_in, built_in_names, layout_names
from tests.unit.infra.templates import Template, as_list, resolve

GLUE = {
    *("glue:CreateTable", "glue:DeleteTable", "glue:GetDatabase", "glue:GetTable"),
    *("glue:GetTables", "glue:UpdateTable"),
}


def commands(template: Template) -> list[list[str]]:
    return [
        one["Properties"]["ContainerDefinitions"][0]["Command"]
        for one in template.of_type("AWS::ECS::TaskDefinition").values()
    ]


def statements_on_glue(template: Template) -> list[tuple[set[str], list[str]]]:
    return [
        (set(as_list(one["Action"])), [resolve(each) for each in as_list(one["Resource"])])
        for policy in template.of_type("AWS::IAM::Policy").values()
        for one in policy["Properties"]["PolicyDocument"]["Statement"]
        if any(action.startswith("glue:") for action in as_list(one["Action"]))
    ]


def test_maintenance_alone_may_write_tables(template: Template, full: Template) -> None:
    assert ["maintain"] in commands(template)
    assert not statements_on_glue(template)
    assert ["maintain", "--iceberg", "glue://shopkpi_prod"] in commands(full)
    ((actions, resources),) = statements_on_glue(full)
    assert actions == GLUE
    ends = [one.partition(":glue:")[2].split(":", 2)[2] for one in resources]
    assert ends == ["catalog", "database/shopkpi_prod", "table/shopkpi_prod/*"]


def test_named_queries_read_the_tables(full: Template) -> None:
    queries = [
        one["Properties"]["QueryString"] for one in full.of_type("AWS::Athena::NamedQuery").values()
    ]
    assert any("FROM current_orders" in one for one in queries)
    assert not any("$file_modified_time" in one for one in queries)


@pytest.mark.parametrize("name", ["default", "olist", "uuid-ids"])
def test_queries_over_iceberg_are_sql(name: str) -> None:
    assert name in (*built_in_names(), *layout_names())
    for title, query in named_queries(built_in(name), iceberg=True).items():
        assert len(duckdb.extract_statements(query)) == 1, title
        assert "row_number" not in query
        assert "FROM current_" in query
