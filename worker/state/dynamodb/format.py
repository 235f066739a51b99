"""Format of the items in DynamoDB, and how a process notices that a later release changed it.

The head of the ledger and the progress record say the format that they were last written in. A
release that changes the format raises it in the head, in one transaction with a record of its own,
and in the guards and progress that it writes again. Each commit and each publication reads one of
these first, on the condition that it is unchanged. So a process of this release stops at its next
commit, and nothing of it is lost: what is not committed is done again.

Release 0.1.0 had no format and no shop. Its ledger items are valid as they stand, and its tasks may
go on committing while an update is under way. Its KPI tables are left alone: those of this format
are filled from the ledger by the first transform, which any crash leaves to be repeated. Before
it moves its progress record, it puts a field into that of 0.1.0, whose transforms fail from then
on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.errors import NewerFormat
from worker.state.corruption import parsing
from worker.state.dynamodb.items import number

if TYPE_CHECKING:
    from worker.state.dynamodb.items import Item

FORMAT = 3
"""Version of items and tables; that of SQLite's schema."""

FORMAT_ATTRIBUTE: Item = {"format": number(FORMAT)}
"""Attribute of the head and of the progress record."""


def check_format(item: Item, url: str) -> None:
    """Check that an item is of a format that this release knows.

    Raises:
        NewerFormat: A later release wrote it.
    """
    if "format" not in item:
        return
    with parsing(f"format in an item of {url}"):
        found = int(item["format"]["N"])
    if found > FORMAT:
        raise NewerFormat(
            url=url,
            expected=f"format {FORMAT}",
            actual=found,
            hint="use that release, or restore the tables to a time before it: "
            "`aws dynamodb restore-table-to-point-in-time`, see docs/deploy.md",
        )
