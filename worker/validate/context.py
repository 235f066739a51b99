"""What all validations of one command share."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.objects.source import HeaderCallback, ProgressCallback
from worker.state import Adoption, Ledger
from worker.validate.stream import DEFAULT_BLOCK_SIZES, BlockSizes


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationContext:
    """Contract, stores, threads and options of a validation.

    Attributes:
        contract: Contract that rows must satisfy.
        workspace: Receives clean files, rejects and manifests of byte ranges.
        ledger: Receives the entry.
        adoption: The contract, as the first accepted source adopts it; None where the ledger is to
            hold entries alone.
        executor: Threads that parse and encode.
        progress: Called with each block read; None to report nothing.
        refused_header: Called with a header that refuses a source, for the terminal of the person
            who has the file. The ledger's reason names only columns that are known or nearly so.
        sha256: Whether entries of objects of several parts carry the SHA-256 of the stored bytes
            beside their content, for a tenth of the CPU time of a validation. Those of one part
            always do, those of byte ranges never.
        block_sizes: How sources are read; tests make blocks of a few bytes.
    """

    contract: Contract
    workspace: Workspace
    ledger: Ledger
    executor: Executor
    progress: ProgressCallback | None = None
    refused_header: HeaderCallback | None = None
    adoption: Adoption | None = None
    sha256: bool = False
    block_sizes: BlockSizes = DEFAULT_BLOCK_SIZES
