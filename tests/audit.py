"""Known vulnerabilities of what is installed in production, as pip-audit finds them.

    python -m tests.audit requirements.lock

pip-audit asks the package index for the page of each release. An index that mirrors another may
have pages of projects alone; such a page tells the vulnerabilities of the project's latest release,
so that it answers for that one. Exit code 1 where there is a vulnerability; releases that no page
answers for are named as NOT AUDITED.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import requests
from packaging.version import Version
from pip_audit._dependency_source import RequirementSource
from pip_audit._service import (
    PyPIService,
    ServiceError,
    SkippedDependency,
    VulnerabilityResult,
)


class Pages:
    """What `PyPIService` asks through: the page of a release, or else that of its project.

    Args:
        session: Gets pages.
    """

    def __init__(self, session: requests.Session) -> None:
        self._session = session

    def get(self, url: str, timeout: int | None = None) -> requests.Response:
        """The page at the URL of a release, or that of its project if it is the latest one.

        Raises:
            NoAnswerError: Neither tells of vulnerabilities.
            requests.RequestException: The service cannot be reached.
        """
        page = self._session.get(url, timeout=timeout)
        named = re.fullmatch(r"(.*)/([^/]+)/json", url)
        if page.status_code == requests.codes.not_found and named is not None:
            of_project = self._session.get(f"{named[1]}/json", timeout=timeout)
            if not of_project.ok or _latest(of_project) != Version(named[2]):
                return page
            page = of_project
        # Where the list is missing, pip-audit takes it for an empty one.
        if page.ok and "vulnerabilities" not in page.json():
            raise NoAnswerError("a page without vulnerabilities")
        return page


class NoAnswerError(ValueError):
    """A page does not say what it is asked."""


def _latest(page: requests.Response) -> Version:
    try:
        return Version(page.json()["info"]["version"])
    except (KeyError, TypeError, ValueError) as error:  # InvalidVersion is a ValueError
        raise NoAnswerError("a page without version") from error


def audit(
    lock: Path, service: PyPIService
) -> tuple[dict[str, list[VulnerabilityResult]], dict[str, str]]:
    """Releases of a lock file, as far as they are for this Python.

    Returns:
        Release -> its vulnerabilities, and release -> why nothing is known of it.
    """
    source = RequirementSource([lock], require_hashes=True, disable_pip=True)
    found: dict[str, list[VulnerabilityResult]] = {}
    unknown: dict[str, str] = {}
    for one in source.collect():
        release = f"{one.name} {getattr(one, 'version', '')}".strip()
        # One by one: what is known of a release is not lost where the next cannot be asked for.
        try:
            answer, vulnerabilities = service.query(one)
        except (ServiceError, requests.RequestException, ValueError) as error:
            unknown[release] = f"{type(error).__name__}: {error}"
            continue
        if isinstance(answer, SkippedDependency):
            unknown[release] = "no page"
        else:
            found[release] = vulnerabilities
    return found, unknown


def main(lock: Path, service: PyPIService | None = None) -> int:
    service = service or PyPIService(timeout=30)
    service.session = Pages(service.session)
    found, unknown = audit(lock, service)
    bad = {release: known for release, known in found.items() if known}
    for release, known in sorted(bad.items()):
        for one in known:
            fixed = ", ".join(map(str, one.fix_versions)) or "none yet"
            sys.stdout.write(f"{release}: {one.id}, fixed in {fixed}: {one.description}\n")
    sys.stdout.write(f"{len(found)} of {len(found) + len(unknown)} packages audited, ")
    sys.stdout.write(f"{len(bad)} of them with known vulnerabilities\n")
    for release, reason in sorted(unknown.items()):
        sys.stdout.write(f"NOT AUDITED: {release} ({reason})\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
