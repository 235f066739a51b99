"""Everything that a workspace and its ledger store, and how a customer is erased from it.

Whoever adds a part that stores rows adds it here, and to `tests/erasure/places.py`, which looks for
an erased id in every stored byte.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Place:
    """One kind of stored data.

    Attributes:
        name: For people.
        prefix: Folder below the workspace; empty for what is in the state store or elsewhere.
        holds: What of a customer may be in it.
        cure: What the command does about it.
    """

    name: str
    prefix: str = ""
    holds: str = ""
    cure: str = ""


PLACES = (
    Place(
        name="clean rows",
        prefix="clean",
        holds="ids of customers",
        cure="rewritten under a key of their own; the objects before are deleted",
    ),
    Place(
        name="rejects",
        prefix="rejects",
        holds="texts of whole rows",
        cure="the texts of rows with the id are emptied; the objects before are deleted",
    ),
    Place(
        name="results of byte ranges that are not committed",
        prefix="pieces",
        holds="bounds of order ids and times; their clean rows and rejects are among those above",
        cure="deleted, so that the ranges are validated again",
    ),
    Place(
        name="packs of small clean files",
        prefix="packs",
        holds="what the clean rows hold",
        cure="deleted; later transforms pack the rewritten files",
    ),
    Place(
        name="key index, checkpoint and sums of busy days",
        prefix="index",
        holds="ids of orders and of customers, as words of 64 or 128 bits",
        cure="deleted; later transforms build them again. Copies of erasures stay: they hold what "
        "the ledger does",
    ),
    Place(
        name="Iceberg tables",
        prefix="iceberg",
        holds="what the clean rows hold, also of earlier snapshots, and bounds of ids",
        cure="deleted with all snapshots; the next `maintain --iceberg` makes them again",
    ),
    Place(
        name="ledger",
        holds="counts, names of files, bounds of order ids and times",
        cure="nothing: it holds no id of a customer",
    ),
    Place(
        name="KPI tables",
        holds="sums of days, categories and products",
        cure="on deletion the days are computed again",
    ),
    Place(
        name="raw files, archive and quarantine",
        holds="everything that was uploaded",
        cure="rewritten where --raw names their folder or prefix",
    ),
)
"""All places, in the order in which a report names them."""

PIECES_PREFIX = "pieces"

PACKS_PREFIX = "packs"

INDEX_PREFIX = "index"

ICEBERG_PREFIX = "iceberg"

STORED_PREFIXES = tuple(place.prefix for place in PLACES if place.prefix)
"""Folders below the workspace that hold objects."""
