"""Hold the constants of the memory budget: 600 MiB for a command with default settings.

About 150 MiB are the interpreter with Arrow and NumPy. The rest is held by:

- validation of a large file: `READ_AHEAD_BLOCKS` blocks, `CHUNKS_IN_FLIGHT` chunks in every form
  from bytes to encoded rows, and two encoded row groups on their way to the object;
- validation of small files: `SMALL_SOURCES_AT_ONCE` of them, each in full;
- an upload to S3: `CONCURRENT_PARTS` parts and one that is being filled;
- a transform: one batch of days being published and one being loaded (`BATCH_ORDERS`),
  `CONCURRENT_READS` batches of rows, hashes of one pass, and caches.

The domain adds the scratch space of its kernels, which is bounded by the chunk or batch at hand.
`tests/properties/test_amplification.py` holds files of many kinds against the budget.
"""

from __future__ import annotations

MIB = 2**20

READ_BLOCK_BYTES = 8 * MIB
"""New bytes of one ranged read, and about those of one chunk for the parser."""

READ_OVERLAP_BYTES = 16 * 2**10
"""Bytes of the previous block that each block repeats.

A record that crosses the edge of two blocks need not be joined, which would copy whole blocks,
unless it is longer than this.
"""

READ_AHEAD_BLOCKS = 3
"""Ranged reads in flight: enough to hide S3's first-byte latency behind parsing."""

CHUNKS_IN_FLIGHT = 4
"""Chunks being parsed or waiting to be encoded: two for each of two cores."""

COMPRESSED_BLOCKS_QUEUED = 3
"""Compressed blocks that wait to be decompressed."""

SMALL_SOURCE_BYTES = 16 * MIB
"""A source object up to this size is validated beside others."""

SMALL_SOURCES_AT_ONCE = 4
"""Small source objects validated concurrently; larger ones are validated one by one."""

PART_BYTES = 8 * MIB
"""Objects below this are one PutObject; the first parts of larger ones have this size."""

CONCURRENT_PARTS = 3
"""Parts being uploaded; with the one being filled, four are in memory."""

FOOTER_CACHE_BYTES = MIB
"""Parsed footers held for one dataset: of about 60 small files, or of 100 row groups. The footer of
the file in use is held whatever its size."""

FILE_CACHE_BYTES = 2 * MIB
"""Small files held for one dataset in their stored form: about 700 of some dozens of rows. So the
files of some weeks are read once, however often their footers are parsed."""

PACK_CHUNK_BYTES = MIB
"""Bytes of a pack of small files that are read together: about 400 files of some dozens of rows."""

PACK_CHUNKS = 8
"""Chunks of packs held: 8 MiB."""

CONCURRENT_READS = 3
"""Batches of row groups read and processed at once: two cores busy, one batch on its way."""

BATCH_ORDERS = 500_000
"""Orders of one batch of days: about 100 bytes each with what is kept of their items."""

SCATTERED_BATCH_ORDERS = 4_000_000
"""The same where order ids are in random order: about 40 bytes each, and 4 an item."""

SHOP_BATCH_ORDERS = 400_000
"""Orders of one batch of days by a contract of language 2: with 2.5 lines each, 100 to 250 bytes
an order, by the number of columns that the contract has."""

SHOP_SCATTERED_BATCH_ORDERS = 1_000_000
"""The same where order ids are in random order, so that each batch reads every line."""

SHOP_HELD_REFERENCE_ROWS = 200_000
"""Rows of a reference that are held whole: some 100 bytes each. Of a larger one the rows are
streamed that a batch of days asks for."""

READ_ROWS = 200_000
"""Rows of one file that are read and processed together."""

SINGLE_PASS_ROWS = 500_000
"""Rows whose keys are compared in one pass beside others."""

PASS_HASHES = 12_000_000
"""Key hashes held in one pass over more rows: 8 bytes each."""

LOOKUP_ROWS = 1_000_000
"""Rows of new files whose days are looked up together."""
