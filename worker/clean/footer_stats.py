"""What the footer of a Parquet object tells of its row groups: where values of a column lie."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow.parquet as pq

from kpi.kernels.instants import microseconds_since_epoch
from kpi.kernels.uuids import format_uuid
from worker.clean.value_clusters import Island

ISLANDS = b"shopkpi.islands"
"""Where a footer tells of `column_islands`, as JSON."""


def column_ranges(metadata: pq.FileMetaData, column: str) -> list[tuple[Any, Any] | None]:
    """Smallest and largest value of a column in each row group, as its footer tells.

    Instants are microseconds since 1970, UUIDs are texts; None where the footer does not tell.
    """
    found: list[tuple[Any, Any] | None] = []
    index = None
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if index is None:
            # `metadata.schema` would tie footer and schema to each other, and so keep both until
            # the garbage collector comes.
            paths = [group.column(at).path_in_schema for at in range(group.num_columns)]
            index = paths.index(column)
        statistics = group.column(index).statistics
        known = statistics is not None and statistics.has_min_max
        found.append((_plain(statistics.min), _plain(statistics.max)) if known else None)
    return found


def column_islands(metadata: pq.FileMetaData) -> dict[str, dict[int, list[Island]]]:
    """Column -> row group -> where its values lie, for those that have more than one island."""
    told = (metadata.metadata or {}).get(ISLANDS)
    return {
        column: {
            int(number): [Island(*one) for one in found] for number, found in of_groups.items()
        }
        for column, of_groups in (orjson.loads(told) if told else {}).items()
    }


def _plain(value: Any) -> Any:  # noqa: ANN401  (integers, texts or instants)
    if isinstance(value, datetime):
        return microseconds_since_epoch(value if value.tzinfo else value.replace(tzinfo=UTC))
    return format_uuid(value) if isinstance(value, bytes) else value
