"""Files that the contract expects and that are not there, and the days that they are of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from kpi.aggregation.completeness import Evidence
from kpi.contract.deliveries import MissingDelivery, find_missing
from kpi.contract.expectation import Expectation
from kpi.contract.loading import parse_contract
from worker.clean import Workspace
from worker.index.intake import ARRIVAL_SECONDS, DatasetIntake
from worker.index.stored_intake import count_on, read_intake
from worker.state import Adoption, Ledger
from worker.state.contract_in_force import adoption_at


async def find_missing_files(
    ledger: Ledger,
    came: Mapping[str, DatasetIntake],
    adoption: Adoption | None,
    now: datetime,
) -> tuple[MissingDelivery, ...]:
    """Return the files that a contract expects and that are not there.

    Args:
        ledger: Says since when contracts expect them.
        came: Dataset -> its accepted uploads.
        adoption: The contract in force; None where there is none.
        now: The present time.

    Raises:
        StoreError: The ledger cannot be read, after retries.
    """
    since: datetime | None = None
    expect: tuple[Expectation, ...] = ()
    while adoption is not None:
        contract = parse_contract(adoption.text, source="a contract in the ledger")
        if not contract.expect or (since is not None and contract.expect != expect):
            break
        since, expect = adoption.recorded_at, contract.expect
        adoption = await adoption_at(ledger, adoption.sequence - 1)
    if since is None:
        return ()
    arrivals = {
        name: {
            datetime.fromtimestamp(quarter * ARRIVAL_SECONDS, UTC): count
            for quarter, count in one.arrivals.items()
        }
        for name, one in came.items()
    }
    return tuple(find_missing(expect, arrivals, since=since, now=now))


async def with_missing_files(
    evidence: Evidence, ledger: Ledger, workspace: Workspace, now: datetime
) -> Evidence:
    """Add to what is known of the files of days which expected ones have not come.

    Args:
        evidence: What is known beside.
        ledger: Its last adoption says what is expected.
        workspace: Where the counters of what came are.
        now: The present time.

    Raises:
        StoreError: A store fails after retries.
    """
    adoption = await ledger.adoption()
    if adoption is None or not parse_contract(adoption.text, source="the ledger").expect:
        return evidence
    head = await ledger.head()
    intake = await read_intake(workspace, ledger, head)
    await count_on(intake, ledger, head, head)
    missing = await find_missing_files(ledger, intake.datasets, adoption, now)
    late, awaited = Counter[date](), Counter[date]()
    for one in missing:
        days = (one.last_day - one.first_day).days + 1
        for day in (one.first_day + timedelta(days=at) for at in range(days)):
            (late if one.is_late else awaited)[day] += one.missing_files
    return replace(evidence, late_files=late, awaited_files=awaited, expects_files=True)
