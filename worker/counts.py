"""What has been counted of a source object."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Counts:
    """Rows of a source object so far; `reasons` counts each reason of a row that has several."""

    rows: int = 0
    clean: int = 0
    rejected: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
