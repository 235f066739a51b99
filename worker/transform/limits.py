"""Rows, orders and keys that a transform holds at once."""

from __future__ import annotations

from dataclasses import dataclass

from worker.runtime.memory_budget import (
    BATCH_ORDERS,
    LOOKUP_ROWS,
    PASS_HASHES,
    READ_ROWS,
    SCATTERED_BATCH_ORDERS,
    SHOP_BATCH_ORDERS,
    SHOP_HELD_REFERENCE_ROWS,
    SHOP_SCATTERED_BATCH_ORDERS,
    SINGLE_PASS_ROWS,
)


@dataclass(frozen=True, kw_only=True)
class TransformLimits:
    """Bounds of what a transform holds in memory; none of them changes a result.

    Attributes:
        batch_orders: Orders of one batch of days: about 100 bytes each with what is kept of their
            items.
        scattered_batch_orders: The same where order ids are in random order, so that each batch has
            to read every item. About 40 bytes an order, and 4 for each of its items.
        shop_batch_orders: Orders of one batch of days by a contract of language 2.
        shop_scattered_batch_orders: The same where order ids are in random order.
        held_reference_rows: Rows of a reference up to which it is held whole.
        read_rows: Rows of one file that are read and processed together. With fewer, threads wait
            for each other between short steps.
        single_pass_rows: Rows with overlapping key ranges whose keys are compared in one pass,
            beside other such passes.
        pass_hashes: Key hashes held in one pass over more rows than that: 8 bytes each.
        lookup_rows: Rows of new files whose days are looked up together.
        lookup_points: Ids up to which each is looked up by itself, instead of all between the
            smallest and the largest: about 200 bytes each.
        unindexed_files: Files of a dataset up to which there is no key index: their bounds are as
            quick to compare.
        unextended_files: Files up to which the key index is not extended, nor more than
            `unindexed_files`: two writes cost as much as to open a file 25 times.
        stride_pointers: Pointers that the key index gets before its manifest is written, 16 bytes
            each: the work that a killed process loses.
        stride_records: Records of the ledger that a transform brings into the tables before it
            goes on with those that follow: the work that a killed process loses.
        tail_records: Records of the ledger from which on a checkpoint is written: each transform
            reads those that follow on the last one.
        unpacked_files: Small files from which on they are packed: each transform may read those
            that follow on the last pack one by one.
        summed_orders: Orders of a day from which on its sums are kept once it is computed: with
            fewer, to read all of them takes as long as to read those that changed.
        summed_files: Files of a day from which on its sums are kept, however few its orders are: to
            open them takes as long as to read and write sums.
        summed_at_once: The same where every day is computed: writing the customers of many smaller
            days would take a noticeable part of the time.
        summed_customers: Orders whose customers are held until they are written, 8 or 16 bytes
            each; the sums of further days are kept when these are computed once more.
        touched_orders: Orders up to which what they add to such days is computed of them alone.
    """

    batch_orders: int = BATCH_ORDERS
    scattered_batch_orders: int = SCATTERED_BATCH_ORDERS
    shop_batch_orders: int = SHOP_BATCH_ORDERS
    shop_scattered_batch_orders: int = SHOP_SCATTERED_BATCH_ORDERS
    held_reference_rows: int = SHOP_HELD_REFERENCE_ROWS
    read_rows: int = READ_ROWS
    single_pass_rows: int = SINGLE_PASS_ROWS
    pass_hashes: int = PASS_HASHES
    lookup_rows: int = LOOKUP_ROWS
    lookup_points: int = 50_000
    unindexed_files: int = 64
    unextended_files: int = 3
    stride_pointers: int = 2_000_000
    stride_records: int = 10_000
    tail_records: int = 128
    unpacked_files: int = 32
    summed_orders: int = 50_000
    summed_files: int = 16
    summed_at_once: int = 500_000
    summed_customers: int = 6_000_000
    touched_orders: int = 5_000


DEFAULT_LIMITS = TransformLimits()
"""Limits for the 600 MiB of a task of the smallest size."""
