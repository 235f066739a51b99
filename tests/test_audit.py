"""`make audit-dependencies` where the index has pages of releases, of projects, or neither."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import requests
from pip_audit._service import PyPIService

from tests import audit

KNOWN = {
    "id": "PYSEC-0",
    "aliases": [],
    "fixed_in": ["2.1"],
    "summary": "it leaks",
    "details": "",
    "published": None,
}


class Index:
    """An index with these pages, by the end of their URL; a number is a status, a text HTML."""

    def __init__(self, pages: Mapping[str, Any]) -> None:
        self._pages = pages

    def get(self, url: str, timeout: int | None = None) -> requests.Response:
        del timeout
        if not self._pages:
            raise requests.ConnectionError("there is no such host")
        (page,) = [page for name, page in self._pages.items() if url.endswith(f"/{name}/json")] or [
            404
        ]
        answer = requests.Response()
        answer.url = url
        answer.status_code = page if isinstance(page, int) else 200
        answer._content = page.encode() if isinstance(page, str) else json.dumps(page).encode()
        return answer


CLEAN = "1 of 1 packages audited, 0 of them with known vulnerabilities"
LEAKS = "shop 2.0: PYSEC-0, fixed in 2.1: it leaks"


def project(latest: str, *vulnerabilities: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"info": {"version": latest}, "vulnerabilities": list(vulnerabilities)}


@pytest.mark.parametrize(
    ("pages", "said", "code"),
    [
        ({"shop/2.0": project("9"), "shop": project("2.0", KNOWN)}, CLEAN, 0),
        ({"shop/2.0": project("9", KNOWN)}, LEAKS, 1),
        ({"shop": project("2.0.0")}, CLEAN, 0),
        ({"shop": project("2.0", KNOWN)}, LEAKS, 1),
        ({"shop": project("2.1")}, "NOT AUDITED: shop 2.0 (no page)", 0),
        ({"other": project("2.0")}, "NOT AUDITED: shop 2.0 (no page)", 0),
        ({}, "NOT AUDITED: shop 2.0 (ConnectionError: there is no such host)", 0),
        ({"shop/2.0": 503}, "NOT AUDITED: shop 2.0 (ServiceError", 0),
        ({"shop/2.0": "<html>"}, "NOT AUDITED: shop 2.0 (JSONDecodeError", 0),
        ({"shop/2.0": {"info": {}}}, "NOT AUDITED: shop 2.0 (NoAnswerError", 0),
        ({"shop": {"info": {"version": "2.0"}}}, "NOT AUDITED: shop 2.0 (NoAnswerError", 0),
        ({"shop": {}}, "NOT AUDITED: shop 2.0 (NoAnswerError", 0),
        ({"shop": {"info": {"version": None}}}, "NOT AUDITED: shop 2.0 (NoAnswerError", 0),
        ({"shop": {"info": {"version": "new"}}}, "NOT AUDITED: shop 2.0 (NoAnswerError", 0),
    ],
)
def test_a_release_is_judged_by_a_page_that_tells_of_it(
    pages: Mapping[str, Any],
    said: str,
    code: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"shop==2.0 --hash=sha256:{'0' * 64}\n")
    service = PyPIService(tmp_path)
    service.session = Index(pages)
    assert audit.main(lock, service) == code
    assert said in capsys.readouterr().out


def test_one_that_cannot_be_asked_for_does_not_hide_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = tmp_path / "requirements.lock"
    names = ("shop", "other")
    lock.write_text("".join(f"{name}==2.0 --hash=sha256:{'0' * 64}\n" for name in names))
    service = PyPIService(tmp_path)
    service.session = Index({"shop/2.0": project("2.0", KNOWN), "other/2.0": 500})
    assert audit.main(lock, service) == 1
    said = capsys.readouterr().out
    assert LEAKS in said
    assert "1 of 2 packages audited, 1 of them" in said
    assert "NOT AUDITED: other 2.0" in said
