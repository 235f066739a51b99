"""Timestamps without offset are in the source time zone, in any year."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pytest

from kpi.contract.loading import built_in, parse_contract
from kpi.contract.model import Contract
from kpi.validation.timestamps import NAIVE, to_instants


def contract_in(zone: str) -> Contract:
    text = built_in().text.replace('source_time_zone = "UTC"', f'source_time_zone = "{zone}"')
    return parse_contract(text, source="test")


@pytest.mark.parametrize(
    ("zone", "local", "instant"),
    [
        ("Europe/Berlin", "2025-07-01T00:30:00", "2025-06-30T22:30:00"),
        ("Europe/Berlin", "2038-07-01T00:30:00", "2038-06-30T22:30:00"),
        ("America/Santiago", "2040-01-01T00:00:00", "2040-01-01T03:00:00"),
        ("UTC", "2040-01-01T00:00:00", "2040-01-01T00:00:00"),
    ],
)
@pytest.mark.parametrize("chunks", [0, 1, 2])
def test_local_times_become_instants(zone: str, local: str, instant: str, chunks: int) -> None:
    values = pa.array([None, datetime.fromisoformat(local)], NAIVE)
    column = values if chunks == 0 else pa.chunked_array([values] * chunks)
    found = to_instants(column, contract_in(zone))
    expected = [None, datetime.fromisoformat(f"{instant}Z")]
    assert found.to_pylist() == expected * max(chunks, 1)
    found.validate(full=True)
