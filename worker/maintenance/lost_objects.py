"""Make clean files and rejects again that the ledger names and the workspace has lost.

They come from the raw files: a key names everything that its bytes depend on, so that the same
version of a file, read by the same contract, gives the same bytes. What comes out otherwise is not
kept, and named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from worker.clean import STORED_KEY
from worker.clean.corrections import PIECE, corrected_source
from worker.errors import SourceError, SourceMissing
from worker.maintenance.erasure.erase import Listing, list_entries
from worker.objects import list_names
from worker.objects.source import Source
from worker.runtime.wording import counted
from worker.state import Entry
from worker.state.contract_in_force import ContractInForce
from worker.validate.byte_range import ByteRange
from worker.validate.context import ValidationContext
from worker.validate.validate_source import validate_uncommitted

NAMED_FILES = 10
"""Files that an error names."""

_RANGE_DIGITS = len("-012345678901234-012345678901234.parquet")


@dataclass(kw_only=True)
class Remade:
    """What became of lost objects.

    Attributes:
        objects: Number of those that were made again.
        left: URL -> why the objects of a file were not.
    """

    objects: int = 0
    left: dict[str, str] = field(default_factory=dict)

    def check(self) -> None:
        """Raise what was left.

        Raises:
            SourceError: It names the files.
        """
        if not self.left:
            return
        shown = "; ".join(f"{url}: {why}" for url, why in sorted(self.left.items())[:NAMED_FILES])
        more = len(self.left) - NAMED_FILES
        raise SourceError(
            f"clean files of {counted(len(self.left), 'file')} are gone, and could not be made "
            f"again: {shown}" + (f"; and {more} more" if more > 0 else ""),
            hint="put the workspace back, or retract these uploads",
            retryable=False,
        )


async def remake_lost_objects(
    sources: Sequence[Source], context: ValidationContext, in_force: ContractInForce
) -> Remade:
    """Validate those files again whose objects are gone.

    Args:
        sources: Raw files.
        context: Stores and threads; a contract in force is of no matter.
        in_force: The contract whose clean rows are needed.

    Raises:
        SourceError: A raw file cannot be read.
        StoreError: A store fails after retries.
    """
    listing = await list_entries(context.ledger, in_force)
    present = await _present_keys(context)
    by_id = {source.source_id: source for source in sources}
    remade = Remade()
    for entry in listing.entries:
        if not in_force.serves(entry):
            continue
        for key in entry.keys:
            if key not in present:
                why = await _remake(key, entry, by_id, listing, context)
                if why:
                    remade.left[entry.url] = why
                else:
                    remade.objects += 1
                    present.add(key)
    return remade


async def _remake(
    key: str,
    entry: Entry,
    sources: dict[str, Source],
    listing: Listing,
    context: ValidationContext,
) -> str:
    """Make one object again; return why not where it cannot be."""
    found = STORED_KEY.fullmatch(key)
    contract = listing.contracts.get(entry.contract)
    source = sources.get(key.rpartition("/")[2].partition("-")[0])
    if found is None or contract is None:
        return "it was read by a contract that is not known any more"
    if source is None:
        return "its raw file is not among the inputs, or was changed"
    if key.endswith(f"{PIECE}.parquet"):
        return "what a person corrected in it is nowhere else"
    try:
        source = await corrected_source(source, entry, context.workspace)
    except SourceMissing:
        return "what a person corrected in it is gone"
    byte_range = None
    if contract.shop is None and found[4]:
        byte_range = ByteRange.parse(key[-_RANGE_DIGITS + 1 :].removesuffix(".parquet"))
    workspace = replace(context.workspace, generation=found["generation"] or "")
    of_entry = replace(context, contract=contract, workspace=workspace, erasures=listing.erasures)
    made = await validate_uncommitted(replace(source, dataset=entry.dataset), of_entry, byte_range)
    if key in made.rejects or any(part.key == key and part in entry.parts for part in made.parts):
        return ""
    for one in set(made.keys) - set(entry.keys) | {key}:
        await workspace.store.delete(workspace.absolute(one))
    return "it gives other rows by now, since a customer was erased"


async def _present_keys(context: ValidationContext) -> set[str]:
    workspace = context.workspace
    root = workspace.absolute("x")[:-1]
    found = set[str]()
    for zone in ("clean", "rejects"):
        try:
            async for one in list_names(workspace.store, workspace.absolute(zone)):
                found.add(one.key.removeprefix(root))
        except SourceMissing:
            continue
    return found
