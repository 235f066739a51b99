"""The CDK app: `cdk synth`, `cdk deploy`, ... run `python -m infra.app` (see `cdk.json`)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from infra.nag_suppressions import acknowledge_findings
from infra.settings import SettingsError, read_settings
from infra.stack import ShopKpiStack

CDK_JSON = Path(__file__).parents[1] / "cdk.json"


def build(context: Mapping[str, object] | None = None, *, outdir: str | None = None) -> cdk.App:
    """The app with one stack, not yet synthesized.

    Args:
        context: Settings, over those in `cdk.json` and on the CDK's command line.
        outdir: Where to synthesize to; the CDK's choice where None.

    Errors: `SettingsError`. `app.synth()` fails on findings of cdk-nag.
    """
    # The CDK's command line hands over cdk.json's context by itself; a plain Python process must.
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
    """Synthesize; returns the process's exit code."""
    try:
        app = build()
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201  (a program's message to its user)
        return 2
    app.synth()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
