"""Contract of `worker.state.Ledger`, over SQLite, memory and DynamoDB."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

import pytest

from tests.contracts.states import CONCURRENTLY, DAY, rows
from tests.support.samples import adoption, entry, erasure, ruling
from worker.errors import ContractChanged, CustomersErased, HeadMoved
from worker.state import Effect, Lease, Pointer, Progress, Sighting, State
from worker.transform.joining import JoinTimings, Share, transform_jointly
from worker.transform.report import Report


async def test_a_new_ledger_is_empty(state: State) -> None:
    assert await state.head() == 0
    assert await state.entries() == []
    assert await state.records() == []
    assert await state.rulings() == []
    assert await state.find("a") is None
    assert await state.progress() == Progress()
    assert await state.effects(["a"]) == {}
    assert await rows(state, "order_kpis") == []


async def test_tables_are_created_once(state: State) -> None:
    assert await state.create_tables() == []


async def test_commits_take_consecutive_sequences(state: State) -> None:
    committed = [await state.commit(entry(name)) for name in "abc"]

    assert [one.sequence for one in committed] == [1, 2, 3]
    assert await state.head() == 3
    assert await state.entries() == committed
    assert await state.find("b") == entry("b").at(2)


async def test_a_source_object_is_committed_once(state: State) -> None:
    first = await state.commit(entry("a"))
    again = await state.commit(replace(entry("a"), seconds=9.0))
    other = await state.commit(entry("b"))

    assert again == first
    assert other.sequence == 2
    assert await state.head() == 2


async def test_rulings_share_the_sequence_of_entries(state: State) -> None:
    first = await state.commit(entry("a"))
    retraction = await state.rule(ruling("a"))
    last = await state.commit(entry("b"))

    assert retraction == ruling("a").at(2)
    assert await state.head() == 3
    assert await state.entries() == [first, last]
    assert await state.records() == [first, retraction, last]
    assert await state.records(after=1, up_to=2) == [retraction]
    assert await state.entries(after=1, up_to=2) == []
    assert await state.find("a") == first


async def test_a_repeated_ruling_is_committed_once(state: State) -> None:
    await state.commit(entry("a"))
    first = await state.rule(ruling("a"))
    assert await state.rule(ruling("a")) == first
    other = await state.rule(ruling("a", "restoration", "2"))

    assert other.sequence == 3
    assert await state.rulings() == [first, other]
    assert await state.head() == 3


async def test_the_first_accepted_entry_adopts_its_contract(state: State) -> None:
    refused = replace(entry("r"), verdict="refused", reason="no header")
    await state.commit(refused, adoption=adoption("other"))
    assert await state.adoption() is None

    committed = await state.commit(entry("a"), adoption=adoption())
    in_force = await state.adoption()

    assert in_force == adoption().at(2)
    assert committed == entry("a").at(3)
    assert await state.records(after=1) == [in_force, committed]
    assert (await state.commit(entry("b"), adoption=adoption())).sequence == 4
    assert await state.adoption() == in_force


async def test_an_entry_of_another_contract_is_not_committed(state: State) -> None:
    await state.commit(entry("a"), adoption=adoption())
    with pytest.raises(ContractChanged):
        await state.commit(replace(entry("b"), contract="other"), adoption=adoption("other"))
    assert await state.find("b") is None
    assert await state.head() == 2


async def test_an_adoption_replaces_the_one_that_was_seen(state: State) -> None:
    await state.commit(entry("a"), adoption=adoption())
    second = await state.adopt(adoption("other"), replaces=1)

    assert (second.sequence, second.replaces) == (3, 1)
    assert await state.adoption() == second
    with pytest.raises(ContractChanged):
        await state.adopt(adoption("third"), replaces=1)
    back = await state.adopt(adoption(), replaces=3)
    assert await state.adoption() == back
    assert await state.head() == 4


async def test_another_contract_gives_a_refused_source_a_new_verdict(state: State) -> None:
    refused = replace(entry("a"), verdict="refused", reason="no header", contract="first")
    first = await state.commit(refused)
    assert await state.commit(refused) == first

    accepted = await state.commit(entry("a"), adoption=adoption())
    assert accepted.sequence == 3
    assert await state.find("a") == accepted
    assert await state.commit(replace(entry("a"), contract="third")) == accepted
    assert await state.entries() == [first, accepted]


@CONCURRENTLY
async def test_rulings_and_commits_at_once_take_all_sequences(state: State) -> None:
    names = [f"source-{number}" for number in range(4)]
    await asyncio.gather(
        *(state.commit(entry(name)) for name in names),
        *(state.rule(ruling(name, ruling_id=name)) for name in [*names, *names]),
    )
    records = await state.records()
    assert [one.sequence for one in records] == list(range(1, 9))
    assert sorted(one.source_id for one in await state.rulings()) == names


@CONCURRENTLY
async def test_concurrent_commits_take_all_sequences_once(state: State) -> None:
    names = [f"source-{number}" for number in range(6)]

    committed = await asyncio.gather(*(state.commit(entry(name)) for name in [*names, *names]))

    assert sorted({one.sequence for one in committed}) == [1, 2, 3, 4, 5, 6]
    assert await state.head() == 6
    by_name = {one.source_id: one for one in committed}
    assert sorted(by_name) == names
    assert [by_name[one.source_id] for one in committed] == list(committed)
    assert await state.entries() == sorted(by_name.values(), key=lambda one: one.sequence)


async def test_entries_between_two_sequences(state: State) -> None:
    committed = [await state.commit(entry(name)) for name in "abcde"]

    assert await state.entries(after=1, up_to=3) == committed[1:3]
    assert await state.entries(after=3) == committed[3:]
    assert await state.entries(up_to=2) == committed[:2]
    assert await state.entries(up_to=0) == []
    assert await state.entries(after=5) == []
    assert await state.entries(after=4, up_to=99) == committed[4:]


async def test_an_entry_of_many_parts(state: State) -> None:
    large = entry("large", parts=5000)
    assert len(large.to_json()) > 400 * 1024  # more than a DynamoDB item holds

    committed = await state.commit(large)

    assert committed == large.at(1)
    assert await state.entries() == [large.at(1)]
    assert await state.find("large") == large.at(1)


async def test_an_effect_is_never_replaced_by_an_earlier_one(state: State) -> None:
    at_2 = Effect(as_of=2, superseded_rows=1, days=3, first_day=DAY, last_day=DAY)
    at_3 = Effect(as_of=3, waiting_items=5)

    await state.record_effects({"a": at_2, "b": at_3})
    assert await state.effects(["a", "b", "c"]) == {"a": at_2, "b": at_3}

    await state.record_effects({"a": at_3, "b": at_2})
    assert await state.effects(["b", "a", "b"]) == {"a": at_3, "b": at_3}


async def test_the_last_sighting_of_a_source_is_kept(state: State) -> None:
    first = Sighting(version="mtime:1:2", sha256="ab", stamp="3:4")
    other = Sighting(version="mtime:1:2:1:cd", sha256="cd", stamp="", replacements=1)
    assert await state.sightings(["a", "b"]) == {}

    await state.record_sighting("a", first)
    await state.record_sighting("b", other)
    assert await state.sightings(["a", "b", "c", "a"]) == {"a": first, "b": other}

    await state.record_sighting("a", other)
    assert await state.sightings(["a"]) == {"a": other}
    assert await state.sightings([]) == {}


async def test_many_effects(state: State) -> None:
    effects = {f"source-{number:03d}": Effect(as_of=number) for number in range(1, 131)}

    await state.record_effects(effects)

    assert await state.effects(list(effects)) == effects
    assert await state.effects([]) == {}


async def test_a_staged_entry_is_no_verdict(state: State) -> None:
    first = await state.commit(entry("a"), adoption=adoption())
    staged = replace(entry("a"), contract="next", staged=True)
    committed = await state.stage(staged)

    assert committed == staged.at(3)
    assert await state.stage(replace(staged, seconds=9.0)) == committed
    assert await state.find("a") == first
    assert await state.find_staged("a", "next") == committed
    assert await state.find_staged("a", "other") is None
    assert await state.find_staged("b", "next") is None
    assert await state.records(after=1) == [first, committed]
    other = await state.stage(replace(staged, contract="other"))
    assert (other.sequence, await state.head()) == (4, 4)


async def test_an_adoption_may_depend_on_the_head(state: State) -> None:
    await state.commit(entry("a"), adoption=adoption())
    seen = await state.head()
    await state.commit(entry("b"), adoption=adoption())

    with pytest.raises(HeadMoved):
        await state.adopt(adoption("other"), replaces=1, head=seen)
    assert await state.head() == seen + 1
    second = await state.adopt(adoption("other"), replaces=1, head=seen + 1)
    assert second.sequence == seen + 2
    with pytest.raises(ContractChanged):
        await state.adopt(adoption("third"), replaces=1, head=seen + 2)


async def test_an_entry_is_replaced_only_where_it_is_the_one_named(state: State) -> None:
    refused = replace(entry("a"), verdict="refused", reason="no header")
    first = await state.commit(refused)
    second = await state.commit(entry("a"), replaces=first.sequence)

    assert second.sequence > first.sequence
    assert await state.find("a") == second
    assert await state.commit(replace(entry("a"), seconds=9.0), replaces=first.sequence) == second


async def test_the_first_erasure_key_stays(state: State) -> None:
    assert await state.erasure_key() is None
    assert await state.erasure_key(b"first") == b"first"
    assert await state.erasure_key(b"second") == b"first"
    assert await state.erasure_key() == b"first"


async def test_an_erasure_needs_the_head_that_was_seen(state: State) -> None:
    await state.commit(entry("a"))
    with pytest.raises(HeadMoved):
        await state.erase(erasure(), head=0)
    assert await state.erasures() == []

    committed = await state.erase(erasure(), head=1)
    assert committed == erasure().at(2)
    assert await state.erasures() == [committed]
    assert (await state.records())[-1] == committed
    assert await state.head() == 2


async def test_what_does_not_know_the_last_erasure_is_not_committed(state: State) -> None:
    first = await state.commit(entry("a"), adoption=adoption())
    await state.erase(erasure(), head=2)
    with pytest.raises(CustomersErased):
        await state.commit(entry("b"), adoption=adoption())
    with pytest.raises(CustomersErased):
        await state.stage(replace(entry("b"), staged=True))
    assert await state.head() == 3
    assert await state.commit(entry("a"), adoption=adoption()) == first  # it is there already

    knowing = replace(entry("b"), erased=3)
    assert (await state.commit(knowing, adoption=adoption())).sequence == 4
    await state.rule(ruling("a"))
    await state.adopt(adoption("other"), replaces=1)
    with pytest.raises(CustomersErased):
        await state.commit(replace(entry("c"), contract="other"))
    await state.erase(erasure("2" * 16), head=6)
    with pytest.raises(CustomersErased):
        await state.commit(replace(entry("c"), erased=3))


async def test_an_entry_is_rewritten_once_for_each_erasure(state: State) -> None:
    await state.commit(entry("a"))
    rewritten = replace(entry("a"), staged=True, erasure="1" * 16, rewrites=1)
    first = await state.stage(rewritten)

    assert await state.stage(replace(rewritten, seconds=9.0)) == first
    assert await state.rewritten("1" * 16) == [first]
    assert await state.rewritten("2" * 16) == []
    other = await state.stage(replace(rewritten, erasure="2" * 16))
    assert await state.rewritten("2" * 16) == [other]
    assert await state.find("a") == entry("a").at(1)


async def test_many_entries_are_found_by_their_sources(state: State) -> None:
    first = await state.commit(entry("a"), adoption=adoption())
    refused = await state.commit(replace(entry("b"), verdict="refused", reason="no header"))
    staged = await state.stage(replace(entry("a"), contract="next", staged=True))
    retraction = await state.rule(ruling("a"))
    second = await state.commit(entry("b"), replaces=refused.sequence)

    assert await state.pointers(["a", "b", "c"]) == {
        "a": Pointer(sequence=first.sequence, accepted=True),
        "b": Pointer(sequence=second.sequence, accepted=True),
    }
    assert await state.pointers(["a", "b"], staged_for="next") == {
        "a": Pointer(sequence=staged.sequence, accepted=True)
    }
    last = await state.commit(replace(entry("c"), verdict="refused", reason="no header"))
    assert (await state.pointers(["c"]))["c"] == Pointer(sequence=last.sequence, accepted=False)
    assert await state.pointers([]) == {}
    wanted = [last.sequence, retraction.sequence, first.sequence, 99, 0]
    assert await state.entries_at(wanted) == [first, last]
    assert await state.entries_at([]) == []


@CONCURRENTLY
async def test_one_of_several_takes_the_lease(state: State) -> None:
    assert await state.lease() == Lease()
    asked = [Lease().held_by(owner, 2.5) for owner in "abcd"]
    taken = await asyncio.gather(*map(state.put_lease, asked))
    assert taken.count(True) == 1
    (held,) = (lease for lease, done in zip(asked, taken, strict=True) if done)
    assert await state.lease() == held

    renewed = held.held_by(held.owner, 2.5)
    assert await state.put_lease(renewed)
    assert not await state.put_lease(held.released())  # it was renewed since
    assert await state.put_lease(renewed.released())
    assert await state.lease() == Lease(version=3)


@CONCURRENTLY
async def test_slices_of_one_name_share_the_lease(state: State) -> None:
    await state.commit(entry("a"))
    timings = JoinTimings(poll_s=0.05, renew_s=0.05)
    order: list[str] = []
    first, all_began = asyncio.Event(), asyncio.Event()

    def joined(name: str, share: Share, seconds: float) -> Awaitable[Report]:
        async def run() -> Report:
            order.append(f"{name} begins")
            first.set()
            if order.count("slice begins") == 3:
                all_began.set()  # each slice runs while all others do
            await asyncio.wait_for(all_began.wait(), 20)
            await asyncio.sleep(seconds)
            order.append(f"{name} ends")
            return Report(as_of=1)

        tables = frozenset({"order_kpis"})
        return transform_jointly(state, tables, run, share=share, timings=timings)

    slices = [joined("slice", Share(name="x", is_slice=True), 0.3) for _ in range(3)]
    running = asyncio.gather(*slices)
    await asyncio.wait_for(first.wait(), 20)
    other = asyncio.ensure_future(joined("other", Share(), 0))
    await running
    assert (await state.lease()).owner == Share(name="x").owner
    await joined("last", Share(name="x"), 0)
    await other
    assert order[6:] == ["last begins", "last ends", "other begins", "other ends"]
    assert (await state.lease()).owner == ""


@CONCURRENTLY
async def test_a_thousand_commits_at_once_all_succeed(state: State) -> None:
    names = [f"source-{number}" for number in range(1000)]
    made = await asyncio.gather(*(state.commit(entry(name), adoption=adoption()) for name in names))
    assert sorted(one.sequence for one in made) == list(range(2, 1002))
    assert await state.head() == 1001
