"""Random contracts of language 2 with files that fit them, and some that do not."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from tests.language.files import File

DAYS = ("2025-03-01", "2025-03-02", "2025-03-03")
HEADERS = (
    *("Order", "Line", "Date", "Changed", "Status", "User", "SKU", "Kind", "Qty", "Unit", "Before"),
    *("Off", "Share", "After", "Cut", "Back", "Cur", "Rate", "Type"),
)
NUMBER_FORMS = {
    "1234.50": ("", "."),
    "1.234,50": (".", ","),
    "1,234.50": (",", "."),
    "1 234,50": (" ", ","),
}


@dataclass(frozen=True)
class RandomShop:
    """A contract and its files, in the order of their uploads."""

    contract: str
    files: tuple[File, ...]


def _written(number: str, form: str) -> str:
    """Write 1234.5 as a form has it."""
    group, point = NUMBER_FORMS[form]
    whole, _, fraction = number.partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    if len(digits) > 3:
        digits = f"{digits[:-3]}{group}{digits[-3:]}"
    return sign + digits + (point + fraction if fraction else "")


AMOUNTS = ("0", "1", "2.5", "19.99", "1234.5", "0.0050", "0.00005", "7.123456789", "-3", "")
SIZES = ("0", "1", "0.5", "2.25", "", "")
QUANTITIES = ("1", "2", "3", "0", "2.0", "0.125", "-1", "")
SHARES = ("0", "0.1", "0.25", "", "0.3333")
RATES = ("1", "1.5", "0.25", "", "0")
STATUS = ("paid", "Void", "BACK", "", "gone", "test-7")


@st.composite
def _cells(draw: st.DrawFn, form: str, dates: str) -> dict[str, str]:
    def pick(options: tuple[str, ...]) -> str:
        return draw(st.sampled_from(options))

    day = pick((*DAYS, *DAYS, "2025-03-01", "never" if draw(st.integers(0, 9)) == 0 else DAYS[0]))
    if dates != "iso" and day != "never":
        year, month, number = day.split("-")
        day = f"{number}.{month}.{year} 23:30"
    elif day != "never" and draw(st.booleans()):
        day += pick(("T23:30:00", "T00:10:00+02:00", " 12:00:00"))
    return {
        "Order": pick(("1", "2", "3", "4", "4", ""))
        if draw(st.integers(0, 20)) == 0
        else pick(("1", "2", "3", "4")),
        "Line": pick(("1", "2")),
        "Date": day,
        "Changed": pick(("", "1", "2", "10")),
        "Status": pick(STATUS),
        "User": pick(("u1", "u2", "", "0")),
        "SKU": pick(("A", "B", "GIFT1", "")),
        "Kind": pick(("Toys", "", "Games")),
        "Type": pick(("Order", "order ", "Footer")),
        "Qty": _written(pick(QUANTITIES), form),
        "Unit": _written(pick(AMOUNTS), form),
        "Before": _written(pick(AMOUNTS), form),
        "Off": _written(pick(SIZES), form),
        "Share": _written(pick(SHARES), form),
        "After": _written(pick(AMOUNTS), form),
        "Cut": _written(pick(SIZES), form),
        "Back": _written(pick(SIZES), form),
        "Cur": pick(("EUR", "eur", "", "USD")),
        "Rate": _written(pick(RATES), form),
    }


@st.composite
def shops(draw: st.DrawFn) -> RandomShop:
    """A random shop."""
    chance = st.booleans()
    form = draw(st.sampled_from(sorted(NUMBER_FORMS)))
    dates = draw(st.sampled_from(("iso", "31.12.2025 23:59")))
    delimiter = ";" if "," in form else draw(st.sampled_from((",", ";", "|", "\t")))
    day = draw(st.sampled_from(("as written", "Europe/Berlin", "UTC", "America/New_York")))
    lines = [
        "language = 2",
        f'day = "{day}"',
        'not_after = "2026-12-31"',
        'currency = "EUR"',
        "[limits]",
        "max_reject_rate = 1.0",
    ]
    feeds = ["orders"]
    has_items = draw(st.integers(0, 5)) > 0
    has_products = has_items and draw(chance)
    has_refunds = draw(chance)
    has_reference = draw(chance)
    feeds += ["order_items"] if has_items else []
    entry = [
        "[[files]]",
        'match = "sales*.csv"',
        f"feeds = {feeds}".replace("'", '"'),
        f"delimiter = {delimiter!r}".replace("'", '"'),
        f'numbers = "{form}"',
        f'dates = ["{dates}"]',
        f'replaces = "{draw(st.sampled_from(("rows", "rows", "file", "all")))}"',
    ]
    if draw(chance):
        entry.append('blanks = ["0"]')
    if draw(chance):
        entry.append('fill = "Order"')
    if draw(chance):
        entry += ["[files.only]", 'orders = { Type = "Order" }']
        entry += (
            ['order_items = [{ Type = "order", Qty = "!<0" }, { SKU = "A" }]'] if has_items else []
        )
    lines += entry
    if has_products:
        lines += ["[[files]]", 'match = "products*"', 'feeds = ["products"]']
    if has_refunds:
        lines += ["[[files]]", 'match = "refunds*"', 'feeds = ["refunds"]']
    if has_reference:
        lines += ["[[files]]", 'match = "people*"', 'feeds = ["people"]']
    lines += _orders(
        draw, has_items=has_items, has_refunds=has_refunds, has_reference=has_reference
    )
    by_item = False
    if has_items:
        lines += (items := _items(draw))
        by_item = "line" in items[1]
    if has_products:
        lines += ["[products.columns]", 'id = "id"', 'category = "kind"']
    if has_refunds:
        lines += _refunds(draw, by_item=by_item)
    if has_reference:
        lines += ["[references.people]", 'key = "who"']
        if draw(chance):
            lines.append('valid_from = "from"')
    contract = "\n".join(lines) + "\n"
    files = draw(_files(form, dates, delimiter, contract))
    return RandomShop(contract, tuple(files))


def _orders(
    draw: st.DrawFn, *, has_items: bool, has_refunds: bool, has_reference: bool
) -> list[str]:
    chance = st.booleans()
    lines = ["[orders]"]
    if draw(chance):
        lines.append('version = "changed"')
    if draw(chance):
        lines.append('deleted = { status = "gone" }')
    if draw(chance):
        lines.append('excluded = [{ status = "void" }, { status = "test*" }]')
    if draw(chance):
        lines.append('returned = { status = "back" }')
    lines += [
        "[orders.columns]",
        'order_id = "Order"',
        'created_at = "Date"',
        'status = "Status"',
        'changed = "Changed"',
    ]
    if has_reference and draw(chance):
        required = ", required = true" if draw(chance) else ""
        lines.append(f'user_id = {{ from = "User", via = "people.person"{required} }}')
    elif draw(chance):
        lines.append('user_id = { from = "User", blanks = ["0"] }')
    if draw(chance):
        lines.append('discount = "Cut"')
    if not has_refunds and draw(chance):
        lines.append('refund = "Back"')
    if draw(chance):
        lines.append('currency = "Cur"')
        if draw(chance):
            lines.append('rate = "Rate"')
    if not has_items:
        lines += ['total = "After"', 'quantity = "Qty"'] if draw(chance) else []
    return lines


def _items(draw: st.DrawFn) -> list[str]:
    chance = st.booleans()
    key = draw(st.sampled_from(('"order"', '"row"', '["order_id", "line"]')))
    lines = ["[order_items]", f"key = {key}"]
    if draw(chance):
        lines.append('excluded = { product_id = "gift*" }')
    if draw(chance):
        lines.append('returned = { status = "*back*" }')
    lines += [
        "[order_items.columns]",
        'order_id = "Order"',
        'line = "Line"',
        'product_id = "SKU"',
        'status = "Status"',
    ]
    for name, header in (
        ("category", "Kind"),
        ("quantity", "Qty"),
        ("unit_price", "Unit"),
        ("before_discount", "Before"),
        ("discount", "Off"),
        ("discount_rate", "Share"),
        ("after_discount", "After"),
        ("currency", "Cur"),
    ):
        if draw(chance):
            lines.append(f'{name} = "{header}"')
    return lines


def _refunds(draw: st.DrawFn, *, by_item: bool) -> list[str]:
    key = draw(st.sampled_from(("order", "row", "id")))
    lines = [
        "[refunds]",
        f'key = "{key}"',
        "[refunds.columns]",
        'id = "id"',
        'order_id = "order"',
        'amount = "amount"',
    ]
    if by_item and draw(st.booleans()):
        lines.append('item = "line"')
    if draw(st.booleans()):
        lines.append('created_at = "day"')
    return lines


@st.composite
def _files(draw: st.DrawFn, form: str, dates: str, delimiter: str, contract: str) -> list[File]:
    files = []
    second = 0
    for name in draw(
        st.lists(
            st.sampled_from(("sales1.csv", "sales2.csv", "dir/sales1.csv")), min_size=1, max_size=4
        )
    ):
        lines = draw(st.lists(_cells(form, dates), min_size=1, max_size=7))
        if "fill" in contract and draw(st.integers(0, 4)) > 0:
            lines.sort(key=lambda row: row["Order"])
        text = "\n".join(
            delimiter.join(line)
            for line in (HEADERS, *(tuple(row[h] for h in HEADERS) for row in lines))
        )
        files.append(File(name, text + "\n", second))
        second += 1
    for name, header, rows in (
        ("products", "id,kind", ("A,Toys", "A,", "B,Games", "A,Books")),
        (
            "people",
            "who,person,from",
            ("u1,p1,2025-01-01", "u1,p2,2025-03-02", "u2,p1,2025-03-02", "u2,,2025-01-01"),
        ),
        (
            "refunds",
            "id,order,amount,line,day",
            (
                "a,1,2.5,1,2025-03-05",
                "b,2,1,2,",
                "a,2,1,,2025-03-02",
                "c,,1,,2025-03-02",
                "d,9,1,1,",
            ),
        ),
    ):
        if f'match = "{name}*"' in contract:
            for number in range(draw(st.integers(0, 2))):
                some = draw(st.lists(st.sampled_from(rows), min_size=1, max_size=3))
                files.append(File(f"{name}{number}.csv", "\n".join((header, *some)) + "\n", second))
                second += 1
    order = draw(st.permutations(range(len(files))))
    return [File(file.name, file.text, place) for place, file in zip(order, files, strict=True)]
