"""Headers that a contract names, and where a file has them (rule 25)."""

from __future__ import annotations

from collections.abc import Sequence

from kpi.contract.conditions import columns_of
from kpi.contract.model import header_form
from kpi.contract.shop import FileLayout, Shop
from kpi.csv.header import describe_headers
from kpi.errors import KpiError

CURRENCY_HEADERS = frozenset(
    {
        *("currency", "currency code", "currency_code", "currencycode", "order currency"),
        *("order currency code", "order_currency", "iso currency", "converted currency"),
        *("currency_iso", "currency iso code", "transaction currency", "currencyiso"),
        *("währung", "waehrung", "devise", "moneda", "divisa", "moeda", "valuta", "waluta"),
        *("valutakod", "valutakode", "valuutta", "měna", "mena", "pénznem", "deviza", "monedă"),
        *("valūta", "valiuta", "valuuta", "para birimi", "döviz", "валюта", "νόμισμα", "mata uang"),
        *(
            "tiền tệ",
            "通貨",
            "通貨コード",
            "货币",
            "貨幣",
            "币种",
            "통화",
            "สกุลเงิน",
            "العملة",
            "מטבע",
        ),
    }
)
"""Folded headers that are known to name the currency of a row's money: ISO 4217's English word,
its translations into the languages of `kpi/inference/spellings.toml`, and the spellings of
vendors' exports (BigCommerce, Stripe)."""


class FileRefusedError(KpiError):
    """The file cannot be read by its contract; the message says why."""


def wanted_headers(shop: Shop, layout: FileLayout) -> list[tuple[str, ...]]:
    """List the headers that a file must have; of each tuple, one."""
    wanted: list[tuple[str, ...]] = []
    for name in layout.feeds:
        for column in shop.all_datasets[name].columns.values():
            wanted += [column.headers] if column.headers else []
            wanted += [(header,) for header in (*column.join, *column.when)]
    wanted += [(layout.fill,)] if layout.fill else []
    wanted += [(header,) for header in layout.merged]
    for conditions in layout.only.values():
        wanted += [(header,) for header in columns_of(conditions)]
    of_path = {f"{{{name}}}" for name in layout.match.names}
    return [
        tuple(map(header_form, headers))
        for headers in dict.fromkeys(wanted)
        if not of_path & set(headers)
    ]


def needed_positions(shop: Shop, layout: FileLayout, headers: Sequence[str]) -> list[int]:
    """Find the columns of a file that its datasets read, and those of currencies; never none."""
    asked = {form for forms in wanted_headers(shop, layout) for form in forms}
    forms = [header_form(header) for header in headers]
    return [
        at
        for at, form in enumerate(forms)
        if form in asked or form.rpartition(".")[2] in CURRENCY_HEADERS
    ] or list(range(len(headers)))


def resolve_headers(shop: Shop, layout: FileLayout, headers: Sequence[str]) -> dict[str, int]:
    """Find the position of each header, folded.

    Raises:
        FileRefusedError: A header that the contract names is missing, or stands twice.
    """
    positions: dict[str, int] = {}
    twice: dict[str, list[str]] = {}
    for at, header in enumerate(headers):
        form = header_form(header)
        if form in positions:
            twice.setdefault(form, [headers[positions[form]]]).append(header)
        else:
            positions[form] = at
    missing = []
    known = {form: form for forms in wanted_headers(shop, layout) for form in forms}
    for forms in wanted_headers(shop, layout):
        both = [twice[form] for form in forms if form in twice]
        if both:
            raise FileRefusedError(f"expected column {both[0][0]!r} once, got {both[0]}")
        if not any(form in positions for form in forms):
            missing.append(" or ".join(forms))
    if missing:
        raise FileRefusedError(
            f"expected column{'s' * (len(missing) > 1)} {', '.join(dict.fromkeys(missing))}, "
            f"got {describe_headers(headers, known, ',')}{_encoding_hint(layout, headers)}"
        )
    return positions


def _encoding_hint(layout: FileLayout, headers: Sequence[str]) -> str:
    """Name the word for the encoding where headers have bytes that are no UTF-8."""
    if layout.encoding or not any("\ufffd" in header for header in headers):
        return ""
    return '; the file is no UTF-8: [[files]] says its encoding, such as encoding = "cp1252"'
