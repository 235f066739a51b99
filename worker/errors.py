"""Errors of the worker. `exit_code` is what the process returns for them."""


class WorkerError(Exception):
    """Something outside the rows went wrong; a retry may cure it."""

    exit_code = 1


class ConfigError(WorkerError):
    """Wrong use or configuration: a retry cannot cure it."""

    exit_code = 2


class SourceError(WorkerError):
    """A source object or clean object cannot be read as it was promised."""


class SourceChanged(SourceError):  # noqa: N818  (an event of the world, not a fault of ours)
    """The object was overwritten or deleted while it was being read."""


class StoreError(WorkerError):
    """A ledger, KPI store or object store refused or failed, after retries."""


class Interrupted(WorkerError):  # noqa: N818
    """A signal asked the worker to stop; the work is abandoned cleanly and can be retried."""
