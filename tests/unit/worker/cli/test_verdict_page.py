"""The page for a supplier: all of the verdict, and nothing that a browser acts on."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from tests.support.commands import shopkpi

HOSTILE = '<script>alert("1")</script><img src=x onerror=1>&amp;\u202e'


class Page(HTMLParser):
    """Collects the tags, attributes and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def put_files(home: Path) -> None:
    folder = home / "in" / "orders"
    folder.mkdir(parents=True)
    header = "order_id,user_id,status,created_at\n"
    good = "".join(f"{number},7,x,2025-03-01\n" for number in range(100))
    quoted = HOSTILE.replace('"', '""')
    (folder / "<b>.csv").write_text(f'{header}{good}5,7,"{quoted}",never\n')
    (folder / "2.csv").write_text("a,b\n1,2\n")


def test_a_page_has_the_verdict_and_the_rejected_rows(tmp_path: Path) -> None:
    put_files(tmp_path)
    done = shopkpi(
        tmp_path, "contract", "check", "default", "--against", "in", "--html", "verdict.html"
    )
    assert done.code == 2, done.err  # one of the files is refused
    assert "for the supplier of the files: verdict.html" in done.out
    text = (tmp_path / "verdict.html").read_text("utf-8")
    page = Page(text)
    assert page.tags == {
        *("html", "head", "meta", "title", "style", "body"),
        *("h1", "h2", "p", "table", "tr", "th", "td", "pre"),
    }
    assert page.attributes == {"lang", "charset", "http-equiv", "content", "name", "class"}
    assert "default-src 'none'" in text
    said = "".join(page.texts)
    assert "Verdict on your files: 1 of 2 files refused" in said
    assert '<script>alert(""1"")</script><img src=x onerror=1>&amp;\\u202e' in said
    assert "wrong_type: created_at: expected a timestamp" in said
    assert "expected columns order_id, user_id" in said
    assert "<b>.csv" in said
    assert str(tmp_path) not in text


def test_a_page_goes_with_files(tmp_path: Path) -> None:
    done = shopkpi(tmp_path, "contract", "check", "default", "--html", "verdict.html")
    assert (done.code, "--html goes with --against" in done.err) == (2, True)
