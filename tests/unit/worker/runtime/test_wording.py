"""Numbers with their nouns."""

from __future__ import annotations

from worker.runtime.wording import counted


def test_one_thing_is_singular() -> None:
    assert [counted(count, "row") for count in (0, 1, 2, 2000)] == [
        *("0 rows", "1 row", "2 rows", "2,000 rows"),
    ]
    assert counted(1, "item waits", "items wait") == "1 item waits"
    assert counted(3, "item waits", "items wait") == "3 items wait"
