"""Cases over large files: other engines, dirt, growth, string ids, gzip."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import kpis, ours
from benchmarks.data import Sample, sample
from benchmarks.measure import warm
from benchmarks.peers import Peer
from benchmarks.peers.layout import Ids
from benchmarks.results import Row, Runs, memory, wall
from benchmarks.rounds import Bench, Measured, Subject, measure_rounds

MEMORY_MIB = 512

Found = tuple[list[Row], list[Runs], str]
"""Rows, runs and proof of a case: see `Outcome`."""


def shopkpi(name: str, given: Sample, **options: str) -> Subject:
    """`shopkpi run` over a sample, its row counts held against what the sample is known to hold."""
    return Subject(
        name=name,
        command=lambda out: ours.command("run", given.folder, workspace=out, **options),
        check=lambda usage, _: ours.check_rows(usage, given),
    )


def clean(bench: Bench) -> Found:
    """Compare the same work by every engine, and the floor under all of them."""
    given = sample(bench.scratch, orders=bench.orders)
    warm(given.files)
    subjects = [shopkpi("shopkpi", given), *_others(bench, given, "integer")]
    found = measure_rounds(bench, "clean", subjects)
    mine = found["shopkpi"]
    result = ours.found_kpis(mine.out)
    rows = []
    for peer in bench.peers:
        theirs = found[peer.title]
        kpis.check_same(result, kpis.of_parquet(theirs.out), exact=peer.exact)
        rows.append(wall(f"wall, of {peer.title}'s", mine.runs, theirs.runs, peer.goal))
    rows += [
        memory("peak memory", mine.runs, MEMORY_MIB),
        wall("wall, of the floor's (read and parse only)", mine.runs, found["floor"].runs, None),
    ]
    cells = sum(len(table) for table in result.values())
    titles = ", ".join(peer.title for peer in bench.peers) or "no other engine"
    return rows, _runs(found), f"the {cells:,} KPI rows of {titles} equal ours"


def dirty(bench: Bench) -> Found:
    """Measure what rejects cost, relative to our own clean files."""
    samples = {
        "clean": sample(bench.scratch, orders=bench.orders),
        "0.1 % dirty": sample(bench.scratch, orders=bench.orders, dirty=0.001),
        "2 % dirty": sample(bench.scratch, orders=bench.orders, dirty=0.02),
    }
    for given in samples.values():
        warm(given.files)
    found = measure_rounds(bench, "dirty", [shopkpi(*one) for one in samples.items()])
    base = found["clean"].runs
    rows = [
        wall("wall with 0.1 % dirty rows, of clean", found["0.1 % dirty"].runs, base, 1.3),
        wall("wall with 2 % dirty rows, of clean", found["2 % dirty"].runs, base, 1.8),
        memory("peak memory with 2 % dirty rows", found["2 % dirty"].runs, MEMORY_MIB),
    ]
    rejects = samples["2 % dirty"].dirty.total()
    return rows, _runs(found), f"rejects are those that the sample put in ({rejects:,} at 2 %)"


def large(bench: Bench) -> Found:
    """Four times as many orders: time per row and memory stay as they are."""
    small = sample(bench.scratch, orders=bench.orders)
    big = sample(bench.scratch, orders=4 * bench.orders)
    warm(small.files)
    subjects = [shopkpi("once", small), shopkpi("four times", big)]
    found = measure_rounds(bench, "large", subjects)
    one, four = found["once"].runs, found["four times"].runs
    growth = big.rows.total() / small.rows.total()
    rows = [
        Row(
            what="wall per row of four times the orders, of once",
            ours=f"{four.best_s / big.rows.total() * 1e9:.0f} ns a row",
            other=f"{one.best_s / small.rows.total() * 1e9:.0f} ns a row",
            best=four.best_s / one.best_s / growth,
            median=four.median_s / one.median_s / growth,
            limit=1.15,
        ),
        memory("peak memory, once", one, MEMORY_MIB),
        memory("peak memory, four times", four, MEMORY_MIB),
        Row(
            what="peak memory of four times the orders, of once",
            ours=f"{four.peak_mib:.0f} MiB",
            other=f"{one.peak_mib:.0f} MiB",
            best=four.peak_mib / one.peak_mib,
            limit=1.10,
        ),
    ]
    _check_orders(found["four times"], big)
    return rows, _runs(found), "orders and items in the KPIs are those of the sample"


def uuid(bench: Bench) -> Found:
    """UUIDs in random order, as what they are and as any text: the same shop, the same KPIs."""
    plain = sample(bench.scratch, orders=bench.orders)
    strings = sample(bench.scratch, orders=bench.orders, ids="uuid")
    warm([*plain.files, *strings.files])
    subjects = [
        shopkpi("integers", plain),
        shopkpi("UUIDs", strings, contract="uuid-ids"),
        shopkpi("UUIDs as texts", strings, contract="string-ids"),
        *_others(bench, strings, "uuid"),
    ]
    found = measure_rounds(bench, "uuid", subjects)
    base = found["integers"].runs
    rows = []
    for name in ("UUIDs", "UUIDs as texts"):
        _check_equal(found["integers"], found[name])
        mine = found[name].runs
        rows += [
            wall(f"wall with {name}, of integer ids", mine, base, 1.6),
            memory(f"peak memory with {name}", mine, MEMORY_MIB),
        ]
    result, mine = ours.found_kpis(found["UUIDs"].out), found["UUIDs"].runs
    for peer in bench.peers:
        theirs = found[peer.title]
        kpis.check_same(result, kpis.of_parquet(theirs.out), exact=peer.exact)
        rows.append(wall(f"wall with UUIDs, of {peer.title}'s", mine, theirs.runs, None))
    rows.append(wall("wall with UUIDs, of the floor's", mine, found["floor"].runs, None))
    return rows, _runs(found), "KPIs equal those of integer ids"


def gzip(bench: Bench) -> Found:
    """Compressed files: limited by inflation, which no engine can split.

    The bound is `gzip -dc | wc -c` over the same files plus the part of our own plain run that no
    inflation can hide: the transform, which begins when the last row is in.
    """
    plain = sample(bench.scratch, orders=bench.orders)
    packed = sample(bench.scratch, orders=bench.orders, compression="gz")
    warm([*plain.files, *packed.files])
    inflate = f"gzip -dc '{packed.folder}'/*/*.gz | wc -c"
    subjects = [
        shopkpi("plain", plain),
        shopkpi("gzip", packed),
        Subject(name="gzip -dc", command=lambda _: ["sh", "-c", inflate]),
    ]
    found = measure_rounds(bench, "gzip", subjects)
    _check_equal(found["plain"], found["gzip"])
    mine, inflating = found["gzip"].runs, found["gzip -dc"].runs
    transforms = [ours.published(usage)["seconds"] for usage in found["gzip"].usages]
    bound_s = inflating.best_s + min(transforms)
    rows = [
        Row(
            what="wall, of `gzip -dc` and our transform",
            ours=f"{mine.best_s:.2f} s",
            other=f"{inflating.best_s:.2f} + {min(transforms):.2f} s",
            best=mine.best_s / bound_s,
            median=mine.median_s / (inflating.median_s + sorted(transforms)[len(transforms) // 2]),
            limit=1.15,
        ),
        wall("wall, of our plain files'", mine, found["plain"].runs, None),
        memory("peak memory", mine, MEMORY_MIB),
    ]
    return rows, _runs(found), "KPIs equal those of the plain files"


def _others(bench: Bench, given: Sample, ids: Ids) -> list[Subject]:
    """Run the other engines over the same files, and the floor under all of them."""
    floor = [sys.executable, "-m", "benchmarks.floor", str(given.folder), ids]
    return [
        *(Subject(name=peer.title, command=_of_peer(peer, given, ids)) for peer in bench.peers),
        Subject(name="floor", command=lambda _: floor),
    ]


def _of_peer(peer: Peer, given: Sample, ids: Ids) -> Callable[[Path], list[str]]:
    return lambda out: peer.command(given.folder, out, ids)


def _runs(found: dict[str, Measured]) -> list[Runs]:
    return [one.runs for one in found.values()]


def _check_equal(first: Measured, second: Measured) -> None:
    kpis.check_same(ours.found_kpis(first.out), ours.found_kpis(second.out), exact=True)


def _check_orders(found: Measured, given: Sample) -> None:
    result = ours.found_kpis(found.out)
    counted = {
        "orders": int(kpis.total(result, "total_orders")),
        "order_items": int(kpis.total(result, "total_items_sold")),
    }
    expected = {name: given.rows[name] for name in counted}
    if counted != expected:
        raise ours.WrongResult(f"expected {expected} in the KPIs, got {counted}")
