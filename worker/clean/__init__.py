"""Name the objects of the clean zone: immutable Parquet under keys made from the source object.

    clean/<dataset>/uploaded_on=<date>/<source_id>-<contract>.parquet      clean rows
    rejects/<dataset>/uploaded_on=<date>/<source_id>-<contract>.parquet    rejects, if any

Those of another shop than `default` have its folder behind the zone, as in
`clean/shop=berlin/orders/`. The zone comes first, as lifecycle rules of a bucket go by what a key
begins with.

A key names everything that the bytes depend on: the source object, the contract's digest, the last
erasure of a customer (`-e` and its id) where there was one, and the corrections of rejected rows
(`-r` and their digest), which are beside the rejects under the same name and `-corrections`. So a
late worker writes the bytes that are there already, and a worker with another contract, or that
knows of fewer erasures, does not touch the objects of the ledger. Each chunk of a source object is
one row group, so that readers prune by the ranges in the footers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kpi.aggregation.tables import DEFAULT_SHOP
from kpi.contract.model import Contract
from worker.errors import DamagedObject
from worker.objects import ObjectStore
from worker.objects.location import Location
from worker.objects.source import Source
from worker.state.shop import SHOP_FOLDER, shop_folder

STORED_KEY = re.compile(
    r"(clean|rejects)/(?P<shop>shop=[a-z0-9-]{1,40}/)?[A-Za-z0-9_+-]+/uploaded_on=\d{4}-\d{2}-\d{2}/"
    r"[0-9a-f]{16}-[0-9a-f]{8}(?P<generation>-e[0-9a-f]{8})?"
    r"(?:-r[0-9a-f]{8}(?:-corrections)?)?(-\d{15}-\d{15})?\.parquet"
)
"""Keys that `Workspace.key` makes."""

_BEFORE_GENERATION = len("0123456789abcdef-01234567")


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """A place for the clean zone and the rejects of one shop.

    Attributes:
        store: Holds the objects.
        location: Where in it.
        generation: Part of new keys that names the last erasure; empty where nobody was erased.
        shop: Whose clean zone and rejects.
    """

    store: ObjectStore
    location: Location
    generation: str = ""
    shop: str = DEFAULT_SHOP

    def key(self, zone: str, source: Source, contract: Contract, piece: str = "") -> str:
        """Return the key of an object of `zone`, relative to the workspace."""
        day = source.info.uploaded_at.date().isoformat()
        name = f"{self.result_name(source, contract)}{piece}.parquet"
        return f"{zone}/{shop_folder(self.shop)}{source.dataset}/uploaded_on={day}/{name}"

    def pieces(self, source: Source, contract: Contract) -> str:
        """Return the absolute key of the folder with manifests of a source's byte ranges."""
        return self.absolute(self.pieces_of(self.result_name(source, contract)))

    def pieces_of(self, result: str) -> str:
        """Return the key of that folder for a result, relative to the workspace."""
        return f"pieces/{shop_folder(self.shop)}{result}"

    def index(self, name: str) -> str:
        """Return the key of an object of the key index, relative to the workspace."""
        return f"index/{shop_folder(self.shop)}{name}"

    def pack(self, name: str) -> str:
        """Return the key of an object of `worker.packs`, relative to the workspace."""
        return f"packs/{shop_folder(self.shop)}{name}"

    def result_name(self, source: Source, contract: Contract) -> str:
        """Name the result of a source object, which depends on nothing else."""
        corrected = "" if source.corrections is None else source.corrections.name
        return f"{source.source_id}-{contract.digest[:8]}{self.generation}{corrected}"

    def owns(self, key: str) -> bool:
        """Return whether a key below the workspace is of this shop."""
        _, _, below = key.partition("/")
        folder = below[: below.find("/") + 1] if below.startswith(SHOP_FOLDER) else ""
        return folder == shop_folder(self.shop)

    def absolute(self, key: str) -> str:
        return self.location.join(key)

    def stored(self, key: str) -> str:
        """Return the absolute key of an object that a ledger entry or a manifest names.

        Raises:
            DamagedObject: It is no key of this shop's clean rows or rejects: somebody else wrote
                it, and it may lead out of the workspace.
        """
        found = STORED_KEY.fullmatch(key)
        if found is None or (found["shop"] or "") != shop_folder(self.shop):
            raise DamagedObject(
                url=self.location.url,
                expected="keys of clean rows and rejects in ledger and manifests",
                actual=repr(key[:100]),
            )
        return self.absolute(key)


def key_in_generation(key: str, generation: str) -> str:
    """Return the key of an object that is rewritten for an erasure."""
    folder, _, name = key.rpartition("/")
    found = STORED_KEY.fullmatch(key)
    former = (found and found["generation"]) or ""
    first, rest = name[:_BEFORE_GENERATION], name[_BEFORE_GENERATION + len(former) :]
    return f"{folder}/{first}{generation}{rest}"
