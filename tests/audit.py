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
from pip_audit._audit import Auditor
from pip_audit._dependency_source import RequirementSource
from pip_audit._service import ConnectionError as NoConnection
from pip_audit._service import PyPIService, SkippedDependency, VulnerabilityResult


class ReleasesOrProjects:
    """What `PyPIService` asks pages through: of a release, and where there is none, of its project.

    Args:
        session: Gets pages.
    """

    def __init__(self, session: requests.Session) -> None:
        self._session = session

    def get(self, url: str, timeout: int | None = None) -> requests.Response:
        """The page at the URL of a release, or that of its project if it is the latest one."""
        page = self._session.get(url, timeout=timeout)
        named = re.fullmatch(r"(.*)/([^/]+)/json", url)
        if page.status_code != requests.codes.not_found or named is None:
            return page
        of_project = self._session.get(f"{named[1]}/json", timeout=timeout)
        if of_project.ok and Version(of_project.json()["info"]["version"]) == Version(named[2]):
            return of_project
        return page


def audit(
    lock: Path, service: PyPIService
) -> tuple[dict[str, list[VulnerabilityResult]], list[str]]:
    """Releases of a lock file with their vulnerabilities, and those that nobody answers for.

    Errors: pip-audit's or requests' own where no page can be had.
    """
    source = RequirementSource([lock], require_hashes=True, disable_pip=True)
    found: dict[str, list[VulnerabilityResult]] = {}
    unknown: list[str] = []
    for release, vulnerabilities in Auditor(service).audit(source):
        if isinstance(release, SkippedDependency):
            unknown.append(release.skip_reason.rsplit(": ", 1)[-1])
        else:
            found[f"{release.name} {release.version}"] = vulnerabilities
    return found, sorted(unknown)


def main(lock: Path, service: PyPIService | None = None) -> int:
    service = service or PyPIService(timeout=30)
    service.session = ReleasesOrProjects(service.session)
    try:
        found, unknown = audit(lock, service)
    except (NoConnection, requests.RequestException) as error:
        sys.stdout.write(f"NOT AUDITED: {error}\n")
        return 0
    bad = {release: known for release, known in found.items() if known}
    for release, known in sorted(bad.items()):
        for one in known:
            fixed = ", ".join(map(str, one.fix_versions)) or "none yet"
            sys.stdout.write(f"{release}: {one.id}, fixed in {fixed}: {one.description}\n")
    sys.stdout.write(f"{len(found)} of {len(found) + len(unknown)} packages audited, ")
    sys.stdout.write(f"{len(bad)} of them with known vulnerabilities\n")
    if unknown:
        sys.stdout.write(f"NOT AUDITED: {', '.join(unknown)}\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
