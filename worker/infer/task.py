"""Infer the contract of the files below some inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from kpi.contract.layouts import built_in_layouts, describe_left_out
from kpi.inference.contract import Inferred, infer_contract
from kpi.inference.questions import NotInferableError
from kpi.inference.samples import TableSample
from worker.errors import ConfigError
from worker.infer.reading import read_samples
from worker.objects import ObjectStore
from worker.objects.location import Location


async def infer(
    inputs: Sequence[tuple[ObjectStore, Location]], answers: Mapping[str, str]
) -> Inferred:
    """Infer a contract.

    Args:
        inputs: Folders, prefixes or single objects.
        answers: By the word of their question.

    Raises:
        ConfigError: No contract can be inferred, or an answer fits no question.
        SourceError: A file cannot be read.
    """
    samples = await read_samples(inputs)
    try:
        inferred = infer_contract(samples, answers)
    except NotInferableError as error:
        raise ConfigError(f"no contract can be inferred: {error}") from error
    return replace(inferred, remarks=(*inferred.remarks, *name_built_in_layouts(samples)))


def name_built_in_layouts(samples: Sequence[TableSample]) -> Iterator[str]:
    """Name the built-in layout of which a file has the header: it says what values do not."""
    for layout in built_in_layouts():
        names = [one.name for one in samples if one.has_headers and layout.entries_of(one.headers)]
        if names:
            left_out = "".join(f"; it leaves out {one}" for one in describe_left_out(layout.shop))
            yield (
                f"{', '.join(names)}: the header is that of the {layout.title}, a built-in layout, "
                f"which a run takes without a contract, as `--contract {layout.key}`{left_out}"
            )
