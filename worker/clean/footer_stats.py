"""Read the bounds of columns from the footer of a Parquet object."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow.parquet as pq

from kpi.kernels.instants import microseconds_since_epoch
from kpi.kernels.uuids import format_uuid
from worker.clean.value_clusters import ValueCluster

INTEGERS_KEY = b"shopkpi.integers"
"""Key of the footer's metadata with the value clusters, as JSON, of columns whose texts are all
whole numbers. As texts, 1000 lies between 10 and 11, so that their bounds prune little."""

CLUSTERS_KEY = b"shopkpi.islands"
"""Key of the footer's metadata with the value clusters, as JSON. The name is part of the format."""


def column_ranges(metadata: pq.FileMetaData, column: str) -> list[tuple[Any, Any] | None]:
    """Return the least and greatest value of a column in each row group.

    Instants are microseconds since 1970, UUIDs are texts. None where the footer has no statistics.
    """
    found: list[tuple[Any, Any] | None] = []
    index = None
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        if index is None:
            # Not by `metadata.schema`: footer and schema would then refer to each other, and live
            # until the garbage collector runs.
            paths = [group.column(at).path_in_schema for at in range(group.num_columns)]
            index = paths.index(column)
        statistics = group.column(index).statistics
        known = statistics is not None and statistics.has_min_max
        found.append((_plain(statistics.min), _plain(statistics.max)) if known else None)
    return found


def column_clusters(
    metadata: pq.FileMetaData, key: bytes = CLUSTERS_KEY
) -> dict[str, dict[int, list[ValueCluster]]]:
    """Return column -> row group -> value clusters, where there is more than one cluster.

    By `INTEGERS_KEY` these are the clusters of texts that are whole numbers, one or more.
    """
    text = (metadata.metadata or {}).get(key)
    return {
        column: {
            int(number): [ValueCluster(*one) for one in found]
            for number, found in of_groups.items()
        }
        for column, of_groups in (orjson.loads(text) if text else {}).items()
    }


def _plain(value: Any) -> Any:  # noqa: ANN401  (integers, texts or instants)
    if isinstance(value, datetime):
        return microseconds_since_epoch(value if value.tzinfo else value.replace(tzinfo=UTC))
    return format_uuid(value) if isinstance(value, bytes) else value
