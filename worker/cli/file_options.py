"""Options of the commands that read files."""

from __future__ import annotations

import click

from worker.cli.attention import parse_conditions

sha256_option = click.option(
    "--sha256",
    is_flag=True,
    envvar="SHOPKPI_SHA256",
    show_envvar=True,
    help="Put the SHA-256 of all bytes of files above 8 MiB into receipts: a tenth more CPU time.",
)

settle_option = click.option(
    "--settle",
    "settle_s",
    type=click.FloatRange(0, 3600),
    default=2.0,
    show_default=True,
    envvar="SHOPKPI_SETTLE",
    show_envvar=True,
    metavar="SECONDS",
    help="Wait until no new file has changed for so long: one may still be being copied. 0 waits "
    "for none.",
)

dataset_option = click.option(
    "--dataset",
    type=click.Choice(["orders", "order_items", "products"]),
    help="Dataset of every INPUT; by default the name of its folder.",
)


quiet_option = click.option(
    "--quiet",
    is_flag=True,
    envvar="SHOPKPI_QUIET",
    show_envvar=True,
    help="Print one line for each new file, and nothing where nothing is new.",
)

again_option = click.option(
    "--again",
    is_flag=True,
    help="Validate files again that were refused under the contract in force.",
)

fail_on_option = click.option(
    "--fail-on",
    multiple=True,
    callback=parse_conditions,
    envvar="SHOPKPI_FAIL_ON",
    show_envvar=True,
    metavar="RESULTS",
    help="End with exit code 4 on: refused (a new file), rejects or 'rejects>RATE' (of the rows of "
    "a new file, as 0.01 or 1%), waiting (items without order), rollback (rows that replace newer "
    "ones). Several with commas.",
)


infer_option = click.option(
    "--infer",
    "infers",
    is_flag=True,
    help="Infer the contract from the files, where none is in force.",
)
