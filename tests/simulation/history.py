"""Histories: what is uploaded, which workers start, and which faults they meet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from tests.simulation.model import Upload
from tests.simulation.schedule import Fault
from worker.state.records import Decision, ErasureMode


@dataclass(frozen=True, kw_only=True)
class Put:
    """A file is uploaded; it replaces an earlier version of its key."""

    upload: Upload


@dataclass(frozen=True, kw_only=True)
class Validate:
    """A worker validates an upload.

    Attributes:
        number: Position of the upload in the history, from 0, modulo the uploads so far.
        split_bytes: Length of the byte ranges that are validated apart; 0 for the whole object.
        fault: Fault that the worker meets.
    """

    number: int
    split_bytes: int = 0
    fault: Fault | None = None


@dataclass(frozen=True, kw_only=True)
class Transform:
    """A worker brings the KPI tables up to date.

    Attributes:
        first: First day of a slice.
        last: Its last day.
        everything: Compute every day.
        planned: Start one transform for each planned day, all at once, then one of all days.
        tables: KPI tables to bring up to date; none for all.
        fault: Fault that the worker meets.
    """

    first: date | None = None
    last: date | None = None
    everything: bool = False
    planned: bool = False
    tables: tuple[str, ...] = ()
    fault: Fault | None = None


@dataclass(frozen=True, kw_only=True)
class Audit:
    """A worker compares what is published with the clean zone.

    Attributes:
        fault: Fault that the worker meets.
    """

    fault: Fault | None = None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A person retracts or restores an upload, if the ledger has it.

    Attributes:
        number: The upload, as `Validate.number`.
        kind: The ruling.
        fault: Fault that the process meets.
    """

    number: int
    kind: Decision
    fault: Fault | None = None


@dataclass(frozen=True, kw_only=True)
class Repair:
    """Someone corrects all rejected rows of an upload, if the ledger has it.

    Attributes:
        number: The upload, as `Validate.number`.
        fault: What befalls the process.
    """

    number: int
    fault: Fault | None = None


@dataclass(frozen=True, kw_only=True)
class Adopt:
    """Someone brings another contract into force.

    Attributes:
        number: Which one of `tests.simulation.contracts.CONTRACTS`, after the one in force.
        fault: What befalls the process.
    """

    number: int = 0
    fault: Fault | None = None


@dataclass(frozen=True, kw_only=True)
class Erase:
    """Someone erases a customer.

    Attributes:
        customer: The id.
        mode: What becomes of the rows.
        fault: What befalls the process.
    """

    customer: str = "1"
    mode: ErasureMode = "pseudonymise"
    fault: Fault | None = None


@dataclass(frozen=True, kw_only=True)
class Rebuild:
    """Someone makes everything once more that derives from ledger and clean zone.

    Attributes:
        fault: What befalls the process.
    """

    fault: Fault | None = None


@dataclass(frozen=True, kw_only=True)
class PutBack:
    """Ledger and KPI tables are put back to before the first erasure, and a rebuild mends it.

    It begins when all workers have ended. A rebuild that dies is followed by another one.

    Attributes:
        fault: What befalls the first rebuild.
    """

    fault: Fault | None = None


@dataclass(frozen=True, kw_only=True)
class Wait:
    """No step starts until all workers have ended or sleep."""


Step = Put | Validate | Transform | Audit | Rule | Repair | Adopt | Erase | Rebuild | PutBack | Wait


@dataclass(frozen=True, kw_only=True)
class History:
    """Steps, started one after the other; none but `Wait` waits for those before.

    Attributes:
        steps: The steps, in the order of their start.
        schedule: Seed of the choices between processes.
        calm: See `tests.simulation.schedule.Scheduler`.
        versioned: Whether the bucket keeps overwritten uploads, so that they may be validated in
            any order.
    """

    steps: tuple[Step, ...]
    schedule: int
    calm: float
    versioned: bool = False
