"""Try a contract on samples: whether it reads their rows, or what it would reject."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from kpi.contract.loading import parse_contract
from kpi.inference.questions import NotInferableError
from kpi.inference.samples import TableSample
from kpi.mapping.headers import FileRefusedError
from kpi.mapping.mapper import Mapper

FAR_DAY = 2**22
"""Last day of an order for a trial: none is too late."""


def try_contract(text: str, samples: Sequence[TableSample]) -> list[str]:
    """Map the rows of samples; tell what is rejected.

    Raises:
        NotInferableError: A file would be refused, as of one with too many rejects.
    """
    contract = parse_contract(text, source="the inferred contract")
    shop = contract.shop
    if shop is None:
        return []
    notes = []
    for sample in samples:
        found = shop.layout_of(sample.name)
        if found is None or not found[0].feeds:
            continue
        layout, names = found
        cells = [pa.array([cell or None for cell in one], pa.string()) for one in sample.columns]
        try:
            mapper = Mapper(shop, layout, sample.headers, names, last_day=FAR_DAY)
            mapped = mapper.map(cells)
        except FileRefusedError as error:
            raise NotInferableError(f"{sample.name}: {error}") from error
        of_sample, rejects = [], np.zeros(mapped.rows, bool)
        for name, rows in mapped.datasets.items():
            rejects |= rows.rejected
            rejected = int(rows.rejected.sum())
            if not rejected:
                continue
            reasons = Counter(
                {f"{one.column}: {one.expected}": int(one.rows.sum()) for one in rows.problems}
            )
            what = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3))
            of_sample.append(
                f"{rejected} of {mapped.rows} rows of {sample.name} are no {name}: {what}"
            )
        if of_sample and rejects.mean() > contract.max_reject_rate:
            raise NotInferableError("; ".join(of_sample) + _advice(sample.name))
        notes += of_sample
    return notes


def _advice(name: str) -> str:
    return (
        f"; a run would refuse {name} for them. Write the contract by hand: `only` leaves rows "
        "out, `merged` takes blank cells from the row above, and `dates` or `numbers` read others"
    )
