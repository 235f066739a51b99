"""The rows of the issue's table, each a case that can be run by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.cases import cloud, engines, formats, growth, history
from benchmarks.cases.engines import Found
from benchmarks.rounds import Bench


@dataclass(frozen=True, kw_only=True)
class Case:
    """One case: `title` may have `{orders}` in it."""

    name: str
    title: str
    run: Callable[[Bench], Found]


CASES = {
    case.name: case
    for case in (
        Case(
            name="clean",
            title="{orders} orders, clean, against other engines",
            run=engines.clean,
        ),
        Case(name="dirty", title="The same with dirty rows", run=engines.dirty),
        Case(name="large", title="Four times as many orders", run=engines.large),
        Case(name="uuid", title="String ids (UUIDs) in random order", run=engines.uuid),
        Case(name="gzip", title="gzip input", run=engines.gzip),
        Case(name="day", title="One more day after the year", run=growth.day),
        Case(name="small", title="Many small files in one run", run=growth.small),
        Case(name="growth", title="One upload as history grows", run=history.growth),
        Case(name="formats", title="One file of lines in six formats", run=formats.formats),
        Case(name="one-file", title="A file that feeds two datasets", run=formats.one_file),
        Case(name="start", title="Start-up", run=cloud.start),
        Case(name="s3", title="Files in S3 (emulated)", run=cloud.s3),
        Case(name="dynamodb", title="Publishing to DynamoDB (emulated)", run=cloud.dynamodb),
    )
}
