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


class Pages:
    """An index with these pages, by the end of their URL."""

    def __init__(self, pages: Mapping[str, Any]) -> None:
        self._pages = pages

    def get(self, url: str, timeout: int | None = None) -> requests.Response:
        del timeout
        if not self._pages:
            raise requests.ConnectionError("there is no such host")
        found = [page for name, page in self._pages.items() if url.endswith(f"/{name}/json")]
        answer = requests.Response()
        answer.status_code = 200 if found else 404
        answer._content = json.dumps(found[0] if found else {}).encode()
        return answer


def project(latest: str, *vulnerabilities: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"info": {"version": latest}, "vulnerabilities": list(vulnerabilities)}


@pytest.mark.parametrize(
    ("pages", "said", "code"),
    [
        ({"shop/2.0": project("9"), "shop": project("2.0", KNOWN)}, "1 of 1 packages audited", 0),
        ({"shop/2.0": project("9", KNOWN)}, "shop 2.0: PYSEC-0, fixed in 2.1: it leaks", 1),
        ({"shop": project("2.0.0")}, "1 of 1 packages audited, 0 of them with", 0),
        ({"shop": project("2.0", KNOWN)}, "shop 2.0: PYSEC-0, fixed in 2.1: it leaks", 1),
        ({"shop": project("2.1")}, "NOT AUDITED: shop (2.0)", 0),
        ({"other": project("2.0")}, "NOT AUDITED: shop (2.0)", 0),
        ({}, "NOT AUDITED: there is no such host", 0),
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
    service.session = Pages(pages)
    assert audit.main(lock, service) == code
    assert said in capsys.readouterr().out
