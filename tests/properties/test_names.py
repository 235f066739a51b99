"""Names that try to lead elsewhere: no file moves, and output shows each name as it is."""

from __future__ import annotations

import csv
import io
import os
import socket
import stat
import unicodedata
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.support.commands import Done, shopkpi
from tests.support.listing import listing
from tests.support.profiles import examples

HEADER = b"order_id,user_id,status,created_at\n"
NAMES = [
    *(b"..csv", b"...", b"..%2f..%2fx.csv", b"%2e%2e", b"..\\..\\x.csv", b"C:x.csv", b"~", b"-rf"),
    *(
        b"a\nb.csv",
        b"a\rb.csv",
        b"\x1b[2J.csv",
        b"\x1b]0;mine\x07.csv",
        b" ",
        b"\t",
        b"\xff\xfe.csv",
    ),
    *(
        b"$(touch mine).csv",
        b"`touch mine`",
        b"; touch mine",
        b"|touch mine",
        b"*?[x].csv",
        b"#.csv",
    ),
    *(
        b"=1+1.csv",
        b"'.csv",
        b'".csv',
        b"[bold]x[/bold].csv",
        b"[red",
        b"?a=b&c",
        b"{}.csv",
        b"%s%n",
    ),
    *("\u202ecsv.exe".encode(), "\u00e9.csv".encode(), "e\u0301.csv".encode(), b"x" * 255, b"\x7f"),
    *(
        "\ufeff.csv".encode(),
        "\U0001f469\u200d\U0001f680.csv".encode(),
        b"s3:",
        b"a" * 16,
        b"clean",
    ),
]


def put(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(HEADER + b"%d,7,x,2025-03-01\nbad,7,x,2025-03-01\n" % number)


def harmless(done: Done) -> Done:
    """Nothing that was printed acts on a terminal."""
    for text in (done.out, done.err):
        assert not [
            letter
            for letter in text
            if unicodedata.category(letter) == "Cc" and letter not in "\n\t\r"
        ]
    return done


def forms(home: Path, *command: str) -> list[Done]:
    return [shopkpi(home, *command, "--format", form) for form in ("table", "json")]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder to work in, with others beside it."""
    for name in ("beside", "home/within"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("mine")
    return tmp_path / "home"


def test_any_name_is_a_name_and_nothing_outside_the_workspace_changes(home: Path) -> None:
    # The others are hidden, or the backup of an editor.
    seen = [name for name in NAMES if not name.startswith(b".") and not name.endswith(b"~")]
    for number, name in enumerate(NAMES):
        put(home / "shop" / "orders" / os.fsdecode(name), number)
    (home / "mine.toml").write_text(shopkpi(home, "contract", "show").out.replace("0.10", "1"))
    before = listing(home.parent)
    work = ("--workspace", "work", "--contract", "mine.toml")
    first, again = forms(home, "run", "shop", *work)
    harmless(first)
    assert (first.code, again.code) == (0, 0), first.err + again.err
    assert again.out.count('"source.known"') == len(seen)
    (day,) = shopkpi(home, "query", "orders", "--workspace", "work", "--format", "json").json
    assert day["total_orders"] == len(seen)
    for form in ("table", "json", "csv"):
        for name in seen:
            text = os.fsdecode(name)
            shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            done = shopkpi(home, "rejects", *work, "--format", form, "--", shown)
            assert done.code == 0, done.err
            assert "bad,7,x,2025-03-01" in done.out
            if form == "table":
                harmless(done)
            if form == "csv":
                _, *rows = csv.reader(io.StringIO(done.out, newline=""))
                assert not [row for row in rows if row[0][0] in "=+-@\t\r\n"]
    for done in forms(home, "ledger", "--workspace", "work"):
        assert done.code == 0
    harmless(forms(home, "ledger", "--workspace", "work")[0])
    assert listing(home.parent, without=home / "work") == before


def test_two_spellings_of_one_letter_are_two_files(home: Path) -> None:
    """Unicode normalization is a matter of file systems: for S3 and Linux these are two names."""
    for number, form in enumerate(("NFC", "NFD")):
        name = unicodedata.normalize(form, "é.csv")  # type: ignore[arg-type]  # one of four literals
        put(home / "shop" / "orders" / name, number)
    assert shopkpi(home, "run", "shop/orders", "--contract", lenient(home)).code == 0
    receipts = shopkpi(home, "ledger", "--format", "json").json
    assert len({one["source_id"] for one in receipts}) == 2


def lenient(home: Path) -> str:
    (home / "mine.toml").write_text(shopkpi(home, "contract", "show").out.replace("0.10", "1"))
    return "mine.toml"


def test_what_is_no_file_is_passed_over(home: Path) -> None:
    orders = home / "shop" / "orders"
    put(orders / "1.csv", 1)
    put(home.parent / "beside" / "linked.csv", 2)
    os.mkfifo(orders / "fifo.csv")
    (orders / "dangling.csv").symlink_to("nowhere.csv")
    (orders / "loop").symlink_to(orders)
    (orders / "zero.csv").symlink_to("/dev/zero")
    (orders / "link.csv").symlink_to(home.parent / "beside" / "linked.csv")
    (home / "shop" / "all").symlink_to("/")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(orders / "socket.csv"))
    done = shopkpi(home, "run", "shop", "--contract", lenient(home), "--format", "json")
    assert done.code == 0, done.err
    receipts = shopkpi(home, "ledger", "--format", "json").json
    # Links that lead out of the input are not followed.
    assert sorted(one["url"].rsplit("/", 1)[1] for one in receipts) == ["1.csv"]


@pytest.mark.parametrize("name", ["fifo.csv", "zero.csv", "socket.csv"])
def test_what_is_no_file_is_told_where_it_is_named(home: Path, name: str) -> None:
    orders = home / "shop" / "orders"
    put(orders / "1.csv", 1)
    os.mkfifo(orders / "fifo.csv")
    (orders / "zero.csv").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(orders / "socket.csv"))
    done = shopkpi(home, "run", f"shop/orders/{name}")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert f"shop/orders/{name}" in done.err


def test_a_link_that_leads_to_itself_is_told(home: Path) -> None:
    orders = home / "shop" / "orders"
    put(orders / "1.csv", 1)
    (orders / "2.csv").symlink_to("2.csv")
    done = shopkpi(home, "run", "shop", "--format", "json")
    assert done.code == 4, done.err  # the other file is refused
    ignored = [one["url"] for one in done.events if one["event"] == "input.ignored"]
    assert [url.rsplit("/", 1)[1] for url in ignored] == ["2.csv"]


def test_objects_of_the_workspace_are_for_their_owner_to_share(home: Path) -> None:
    """Nothing is made writable for others, whatever the umask lets through."""
    put(home / "shop" / "orders" / "1.csv", 1)
    assert shopkpi(home, "run", "shop", "--contract", lenient(home)).code == 0
    umask = os.umask(0o022)
    os.umask(umask)
    for path in (home / ".shopkpi").rglob("*"):
        assert not path.stat().st_mode & (umask | stat.S_IWOTH), path


PLACES = st.one_of(
    st.text(st.characters(exclude_characters="\0"), max_size=12),
    st.sampled_from(
        [
            *(
                "~nobody-of-this-name",
                "x" * 300,
                "x/" * 3000,
                "\udcff",
                "../" * 50,
                "//",
                "/dev/null",
            ),
            *("s3://", "s3:///x", "file://", "file://localhost/x", "://", "s3", "-", "--", "a\nb"),
            *(
                "/proc/self/mem",
                "/dev/full",
                "shop/orders/1.csv/x",
                "\x1b[2J",
                "dynamodb://[",
                "2.csv",
            ),
        ]
    ),
)


@given(st.sampled_from(["run", "validate", "rejects", "ledger", "plan"]), PLACES, PLACES)
@examples(0.6)
@example("run", "~nobody-of-this-name", ".shopkpi")
@example("run", "x" * 300, ".shopkpi")
@example("run", "shop", "x" * 300)
@example("run", "shop", "~nobody-of-this-name")
@example("run", "shop", "/dev/null")
@example("ledger", "\udcff", ".shopkpi")
def test_any_place_is_used_or_told_in_words(
    tmp_path_factory: pytest.TempPathFactory, command: str, place: str, workspace: str
) -> None:
    a_bucket = any(text.startswith("s3://") and text != "s3://" for text in (place, workspace))
    elsewhere = workspace.startswith(("/", "..")) and not workspace.startswith(("/dev/", "/proc/"))
    assume(not a_bucket and not elsewhere and not place.startswith("/"))
    home = tmp_path_factory.mktemp("home")
    put(home / "shop" / "orders" / "1.csv", 1)
    done = shopkpi(home, command, f"--workspace={workspace}", "--", place)
    assert done.code in (0, 1, 2, 4)
    assert done.code == 0 or done.err
    harmless(Done(done.code, "", done.err))
