"""Copies of many small clean files in few objects; nothing of it is ever needed.

    packs/current.json              the manifest
    packs/<32 hex digits>.pack      the bytes of small clean files, then their directory

Those of another shop than `default` have its folder below `packs/`. Names hold the last erasure of
a customer, as those of clean files do, so that an erasure deletes all packs before it.

A shop that uploads 500 files a day has as many clean files a day, of some KiB each: a transform of
that day would open each. Packs hold their bytes as they are, in the order of the ledger, so that
files of one day lie together and are read with few requests. The clean file stays the truth: where
a pack is missing or damaged, or has no copy, the file itself is read.

Whoever extends them writes a pack, then the manifest. A lost race leaves a pack that nobody names.
"""
