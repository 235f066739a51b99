"""Build and synthesize the CDK app; the `cdk` commands run `python -m infra.app` (`cdk.json`)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from infra.nag_suppressions import acknowledge_findings
from infra.settings.reader import SettingsError, read_settings
from infra.stack import ShopKpiStack

CDK_JSON = Path(__file__).parents[1] / "cdk.json"


def build(context: Mapping[str, object] | None = None, *, outdir: str | None = None) -> cdk.App:
    """Build the app with its one stack; the caller synthesizes it.

    Args:
        context: Settings that override those of `cdk.json` and of the CDK's command line.
        outdir: Folder for the cloud assembly; None leaves the choice to the CDK.

    Raises:
        SettingsError: The settings cannot be deployed. `app.synth()` raises on cdk-nag findings.
    """
    # The `cdk` command passes the context of cdk.json; a plain Python process has to read it.
    defaults = json.loads(CDK_JSON.read_text("utf-8"))["context"]
    app = cdk.App(context={**defaults, **(context or {})}, outdir=outdir, analytics_reporting=False)
    settings = read_settings(app.node.get_all_context())
    stack = ShopKpiStack(app, f"ShopKpi-{settings.stage}", settings=settings)
    cdk.Tags.of(stack).add("application", "shopkpi")
    cdk.Tags.of(stack).add("stage", settings.stage)
    acknowledge_findings(stack)
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    return app


def main() -> int:
    """Synthesize the app; return the exit code of the process."""
    try:
        app = build()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    app.synth()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
