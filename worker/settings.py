"""Read and check settings: options, else the environment, else defaults."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import overload

from kpi.aggregation.tables import DEFAULT_SHOP, table_names
from kpi.contract.loading import built_in, built_in_names, layout_names, parse_contract
from kpi.contract.model import Contract
from kpi.errors import ContractError
from worker.errors import ConfigError, InvalidSettings, describe_lines
from worker.objects.location import Location, locate
from worker.objects.readers import Readers
from worker.state.shop import read_shop

DEFAULT_WORKSPACE = ".shopkpi"

PROPOSED_CONTRACT = "SHOPKPI_PROPOSED_CONTRACT"
"""Environment variable of the contract that a deployment brings."""

MAX_CONTRACT_BYTES = 2**20
"""Of a contract file; one with every setting has 3 KB."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Hold what a command works with.

    Attributes:
        workspace: Where clean zone and rejects are.
        state_url: Ledger and KPI tables.
        contract: What columns are, unless the ledger has adopted a contract.
        contract_name: What the user called the contract; None where nobody named one.
        proposed: Contract that a deployment brings: it is adopted by the first accepted file, and
            never refused beside another one. None where the environment names none.
        tables: KPI tables to publish, beside those that the ledger has switched on.
        sha256: Whether receipts of objects above 8 MiB hold the SHA-256 of all bytes.
        settle_s: Seconds without change after which a file counts as whole; 0 waits for none.
        readers: Who may read a local database from now on; None leaves that as it is.
        again: Whether files that were refused are validated again.
        shop: Whose ledger, contract, clean zone and KPIs.
    """

    workspace: Location
    state_url: str
    contract: Contract
    tables: frozenset[str]
    sha256: bool = False
    contract_name: str | None = None
    proposed: Contract | None = None
    again: bool = False
    settle_s: float = 0.0
    readers: Readers | None = None
    shop: str = DEFAULT_SHOP


def read_settings(
    *,
    workspace: str | None,
    state: str | None,
    contract: str | None,
    kpis: str = "order,category",
    sha256: bool = False,
    settle_s: float = 0.0,
    readers: str | None = None,
    again: bool = False,
    shop: str | None = None,
) -> Settings:
    """Check every setting before any store is opened.

    Args:
        workspace: Folder or URL; None for `./.shopkpi`.
        state: URL; None for `shopkpi.db` in a local workspace.
        contract: File, or name of a built-in contract; None for `default`.
        kpis: Short table names with commas between them.
        sha256: Whether receipts of objects above 8 MiB hold the SHA-256 of all bytes.
        settle_s: Seconds without change after which a file counts as whole.
        readers: `owner`, `group` or `all`; None leaves the rights as they are.
        again: Whether files that were refused are validated again.
        shop: Name of the shop; None for the default one.

    Raises:
        InvalidSettings: It lists everything that is wrong.
    """
    problems: list[str] = []
    location, state_url = _read_places(workspace, state, problems)
    found: Contract | None = None
    proposed: str | None = None
    try:
        proposed = os.environ.get(PROPOSED_CONTRACT) if contract is None else None
        found = read_contract(contract or proposed)
    except (ContractError, ConfigError) as error:
        first, *others = describe_lines(error)
        problems += [f"--contract: {first}", *others]
    tables: frozenset[str] = frozenset()
    try:
        tables = table_names([name.strip() for name in kpis.split(",") if name.strip()])
    except ValueError as error:
        problems.append(f"--kpis: {error}")
    try:
        shop = read_shop(shop)
    except ConfigError as error:
        problems.append(str(error))
    if problems or found is None:
        raise InvalidSettings(problems)
    return Settings(
        workspace=location,
        state_url=state_url,
        contract=found,
        contract_name=contract,
        proposed=found if proposed else None,
        tables=tables,
        sha256=sha256,
        settle_s=settle_s,
        readers=Readers(readers) if readers else None,
        again=again,
        shop=shop or DEFAULT_SHOP,
    )


def _read_places(
    workspace: str | None, state: str | None, problems: list[str]
) -> tuple[Location, str]:
    """Return the workspace and the URL of the state; add what is wrong to the problems."""
    location = locate(DEFAULT_WORKSPACE)
    try:
        location = locate(workspace or DEFAULT_WORKSPACE)
    except ConfigError as error:
        problems.append(f"--workspace: {error}")
    if state is None:
        if location.bucket:
            problems.append("--state: a workspace in S3 needs one, e.g. dynamodb://shopkpi")
        return location, f"sqlite:///{location.join('shopkpi.db')}"
    if not state.startswith(("sqlite:///", "dynamodb://")):
        problems.append(f"--state: expected sqlite:///path or dynamodb://table-prefix, got {state}")
    return location, state


def read_contract(contract: str | None) -> Contract:
    """Load a contract by its file or built-in name; None for `default`.

    Raises:
        ContractError: It is not usable.
        ConfigError: There is no such file or name.
    """
    if contract is None or contract in (*built_in_names(), *layout_names()):
        return built_in(contract or "default")
    try:
        with Path(contract).open("rb") as file:
            data = file.read(MAX_CONTRACT_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, ValueError) as error:  # not UTF-8, or a name with NUL in it
        names = ", ".join((*built_in_names(), *layout_names()))
        raise ConfigError(
            f"cannot read this file ({error}), and no built-in contract has this name ({names})",
            url=contract,
        ) from error
    if len(data) > MAX_CONTRACT_BYTES:
        raise ConfigError(
            url=contract, expected=f"a contract of at most {MAX_CONTRACT_BYTES} bytes"
        )
    return parse_contract(text, source=contract)


@overload
def read_day(text: str, option: str) -> date: ...


@overload
def read_day(text: str | None, option: str) -> date | None: ...


def read_day(text: str | None, option: str) -> date | None:
    """Read the ISO date given to an option.

    Raises:
        ConfigError: It is none.
    """
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(option=option, expected="a date like 2025-03-30", actual=text) from error
