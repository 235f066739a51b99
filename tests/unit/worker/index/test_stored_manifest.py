"""Every kind of manifest is parsed and checked alike."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pytest

from worker.errors import DamagedObject
from worker.index.checkpoint_manifest import CheckpointManifest, Segment
from worker.index.manifest import Manifest, Run, Section
from worker.index.stored_manifest import StoredManifest
from worker.index.sums_manifest import Page, SumsManifest
from worker.packs.manifest import Pack, PackManifest
from worker.state import Ruling

RUN = f"{'1' * 32}.run"
RULING = Ruling(
    kind="retraction",
    ruling_id="",
    source_id="0" * 16,
    url="",
    reason="",
    recorded_at=datetime(1970, 1, 1, tzinfo=UTC),
    sequence=4,
)

MANIFESTS: list[StoredManifest] = [
    PackManifest(
        up_to=7,
        retired=(f"{'2' * 32}-e01234567.pack",),
        packs=(Pack(name=f"{'1' * 32}.pack", first=1, last=7, files=3, size_bytes=9, crc=5),),
    ),
    Manifest(
        up_to=7,
        retired=(RUN.replace("1", "2"),),
        files="abc",
        tables=("orders.id:integer",),
        runs=(
            Run(
                name=RUN, size_bytes=9, crc=5, sections={"t": Section(offset=0, pointers=1, crc=2)}
            ),
        ),
    ),
    CheckpointManifest(
        up_to=7,
        ledger="abc",
        uncounted=np.array([2, 3, 7]),
        rulings=(RULING,),
        segments=(Segment(name=f"{'1' * 32}.parquet", rows=3, size_bytes=9, crc=5),),
    ),
    SumsManifest(
        up_to=7,
        retired=(RUN,),
        pages={-3: Page(name=f"{'1' * 32}.sums", size_bytes=9, crc=5, customers=RUN)},
    ),
]

KINDS = pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda one: type(one).__name__)


@KINDS
def test_a_manifest_is_parsed_as_it_was_written(manifest: StoredManifest) -> None:
    again = type(manifest).from_json(manifest.to_json(), "url")
    assert again.to_json() == manifest.to_json()
    assert again.names == manifest.names
    assert again.names
    assert (again.up_to, again.retired) == (7, manifest.retired)


@KINDS
def test_one_of_another_format_is_not_there(manifest: StoredManifest) -> None:
    fields = orjson.loads(manifest.to_json()) | {"format": 99, "unknown": 1}
    assert type(manifest).from_json(orjson.dumps(fields), "url").up_to == 0


def _changed(manifest: StoredManifest, damage: str) -> Any:
    fields = orjson.loads(manifest.to_json())
    match damage:
        case "list":
            return [fields]
        case "a member too much":
            return fields | {"more": 1}
        case "no sequence":
            return fields | {"up_to": "7"}
        case "none retired":
            return fields | {"retired": None}
        case "a name that leads out":
            return fields | {"retired": ["../ledger.json"]}
        case "a name with more behind it":
            return fields | {"retired": [f"{name}/../x" for name in manifest.names]}
        case "an object of another folder":
            text = manifest.to_json().replace(b"1" * 32, b"../" + b"1" * 29)
            return orjson.loads(text)
    del fields["format"]
    return fields


DAMAGES = [
    *("list", "a member too much", "no sequence", "none retired", "a name that leads out"),
    *("a name with more behind it", "an object of another folder"),
]


@KINDS
@pytest.mark.parametrize("damage", [*DAMAGES, "no format"])
def test_a_damaged_manifest_is_told_by_its_url(manifest: StoredManifest, damage: str) -> None:
    data = orjson.dumps(_changed(manifest, damage))
    with pytest.raises(DamagedObject, match=manifest.KIND):
        type(manifest).from_json(data, "url")
    with pytest.raises(DamagedObject, match="url"):
        type(manifest).from_json(data[: len(data) // 2], "url")


@pytest.mark.parametrize("text", ["AAAA", "not base 64", None], ids=["bytes", "text", "null"])
def test_sequences_that_cannot_be_read_are_told_by_the_url(text: object) -> None:
    fields = orjson.loads(MANIFESTS[2].to_json()) | {"uncounted": text}
    with pytest.raises(DamagedObject, match="url"):
        CheckpointManifest.from_json(orjson.dumps(fields), "url")
