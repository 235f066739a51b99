"""States that move an object out of the input bucket: by a copy within S3, or by a task."""

from __future__ import annotations

import pytest

from infra.workflows.archive import COPY_LIMIT_KEY_BYTES
from tests.unit.infra.templates import Template
from tests.unit.infra.workflows.expressions import chosen, evaluate, state
from worker.maintenance.archive import MAX_KEY_BYTES

GIB = 2**30


@pytest.mark.parametrize(
    ("size", "key", "next_"),
    [
        (GIB, "orders/a.csv", "CopyToArchive"),
        (GIB + 1, "orders/a.csv", "Archive"),
        (1, "a" * 999, "CopyToArchive"),
        (1, "a" * 1000, "Archive"),
        (1, "ß" * 500, "Archive"),
    ],
)
def test_a_task_moves_large_objects_and_long_keys(
    template: Template, size: int, key: str, next_: str
) -> None:
    document = {"size": size, "key": key}
    assert chosen(state(template, "ingest", "IsCopyable"), document) == next_


def test_the_longest_key_that_is_copied_fits_into_the_archive(template: Template) -> None:
    document = {"key": "a" * COPY_LIMIT_KEY_BYTES, "source_id": "0123456789abcdef"}
    copied = evaluate(
        state(template, "ingest", "CopyToArchive")["Arguments"]["Key"], input=document
    )
    assert len(copied) == MAX_KEY_BYTES


def test_a_moved_object_keeps_its_key(template: Template) -> None:
    document = {
        "bucket": "in",
        "key": "orders/monday & co/größe+1.csv",
        "version_id": "v1",
        "source_id": "abc",
    }
    arguments = state(template, "ingest", "CopyToArchive")["Arguments"]
    assert evaluate(arguments["Key"], input=document) == f"archive/abc/{document['key']}"
    # CopySource is URL-encoded (S3 API reference, CopyObject).
    assert evaluate(arguments["CopySource"], input=document) == (
        "in/orders%2Fmonday%20%26%20co%2Fgr%C3%B6%C3%9Fe%2B1.csv?versionId=v1"
    )
