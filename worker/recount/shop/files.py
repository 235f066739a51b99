"""Files of text, whatever their format."""

from __future__ import annotations

from collections.abc import Sequence

from worker.recount.shop.contract import Entry, Shop
from worker.recount.shop.json_files import looks_like_json, read_json_table
from worker.recount.shop.texts import OpenText, RefusedError, Table, decode, read_text_table


def read_table(shop: Shop, entries: Sequence[Entry], path: str, open_text: OpenText) -> Table:
    """Read a file of JSON, or of text with a delimiter.

    Args:
        shop: Contract.
        entries: Those that may take the file, in order.
        path: Of the file.
        open_text: Returns the blocks of the file, from the first.

    Raises:
        RefusedError: No entry fits.
        NotCountedError: The recount cannot read it.
    """
    if entries[0].encoding is None and looks_like_json(next(decode(open_text(), None), b"")):
        return read_json_table(shop, entries, path, open_text)
    if any(entry.each for entry in entries):
        raise RefusedError("`each` names lists of JSON")
    return read_text_table(shop, entries, path, open_text)
