"""What became of some uploads as of the ledger's head, computed from the clean zone.

The ledger holds the effect that an upload had at first. Later files supersede its rows and bring
the orders that its items wait for, so that only the clean zone knows what is true now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kpi.contract.model import Contract
from worker.clean import Workspace
from worker.state import Effect, Entry, State
from worker.state.contract_in_force import ContractInForce, contract_at
from worker.state.decision import Fate
from worker.state.upload import Upload
from worker.transform.history import read_history
from worker.transform.shop.effects import present_shop_effects
from worker.transform.shop.snapshot import open_shop_snapshot
from worker.transform.shop.transform import open_context
from worker.transform.snapshot import open_snapshot
from worker.transform.source_effects import present_effects

FATES = {
    "counts": "counts",
    "same": "same bytes as the upload before it",
    "replaced": "replaced by a later file of its name",
    "retracted": "retracted",
    "refused": "refused",
    "superseded": "superseded by another verdict or contract",
}
"""What becomes of an upload -> its words."""


@dataclass(frozen=True, kw_only=True)
class Present:
    """What became of an upload.

    Attributes:
        effect: What its rows do now; nothing where it does not count.
        fate: Key of `FATES`.
    """

    effect: Effect
    fate: str


async def present_state(
    state: State, workspace: Workspace, contract: Contract, entries: Sequence[Entry]
) -> dict[int, Present]:
    """Compute the present state of some entries, by their sequences.

    Raises:
        ConfigError, SourceError: A clean file cannot be read, or is of another contract.
        StoreError: The ledger cannot be read, after retries.
    """
    head = await state.head()
    in_force = await contract_at(state, head, contract)
    fates = await _fates(state, head, workspace, in_force, entries)
    counted = {one.source_id: one for one in entries if fates.get(one.sequence) == "counts"}
    effects: dict[str, Effect] = {}
    if counted and in_force.contract.shop is not None:
        shop = await open_shop_snapshot(state, head, workspace, contract, since=head)
        effects = await present_shop_effects(open_context(shop, frozenset()), counted.keys(), head)
    elif counted:
        snapshot = await open_snapshot(state, head, workspace, contract, since=head)
        effects = await present_effects(snapshot, counted.keys(), head)
    nothing = Effect(as_of=head)
    found = {}
    for entry in entries:
        fate = "refused" if entry.verdict == "refused" else fates.get(entry.sequence, "superseded")
        effect = effects.get(entry.source_id, nothing) if fate == "counts" else nothing
        found[entry.sequence] = Present(effect=effect, fate=fate)
    return found


async def _fates(
    state: State,
    head: int,
    workspace: Workspace,
    in_force: ContractInForce,
    entries: Sequence[Entry],
) -> Mapping[int, Fate]:
    """Return what becomes of some accepted entries, and of others, by their sequences."""
    history = await read_history(
        state,
        head,
        workspace,
        in_force,
        since=head,
        replaces_file=in_force.contract.replaces_file,
    )
    return history.uploads.fates([Upload.of(one) for one in entries if one.verdict == "accepted"])
