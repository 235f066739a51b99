"""Alarms, dashboard and log retention."""

from __future__ import annotations

import json
import re

from infra.settings import LOG_RETENTION_DAYS, Settings
from tests.unit.infra.templates import ROOT, Template, environment, resolve, topic
from worker.reporting.emf import UNITS


def test_every_log_group_has_a_retention_period(template: Template, full: Template) -> None:
    for deployment in (template, full):
        for group in deployment.of_type("AWS::Logs::LogGroup").values():
            assert group["Properties"]["RetentionInDays"] == Settings().log_retention_days
    assert Settings().log_retention_days in LOG_RETENTION_DAYS


def test_alarms_reach_somebody(template: Template, full: Template) -> None:
    for deployment in (template, full):
        for name, alarm in deployment.of_type("AWS::CloudWatch::Alarm").items():
            if name.startswith("WarmWake"):
                continue
            actions = alarm["Properties"]["AlarmActions"]
            assert actions == [{"Ref": topic(deployment)}], name
            assert alarm["Properties"]["AlarmDescription"], name
    (subscription,) = full.of_type("AWS::SNS::Subscription").values()
    assert subscription["Properties"]["Protocol"] == "email"
    assert subscription["Properties"]["Endpoint"] == "operator@example.com"
    assert not template.of_type("AWS::SNS::Subscription")


def test_alarms_cover_what_can_go_wrong(template: Template, full: Template) -> None:
    expected = {
        *(
            f"{machine}{kind}"
            for machine in ("Batches", "Ingest", "Intake", "Sweep", "Operations")
            for kind in ("Failed", "TimedOut", "Throttled")
        ),
        *(f"{table}Throttled" for table in ("Ledger", "OrderKpis", "CategoryKpis", "ProductKpis")),
        "AuditDifferences",
        "DeadLetters",
        "DeadUploads",
        "Lag",
        "OldestUpload",
        "RejectRate",
        "TaskExits",
        "Uncommitted",
        "VcpuQuota",
    }
    assert alarms(template) == expected
    assert alarms(full) == expected | {"NoSuccess"}


def test_the_deploy_page_counts_the_alarms(template: Template, full: Template) -> None:
    page = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    (counts,) = re.findall(r"alarms: (\d+) \((\d+) for `prod`\), of which (\d+) compare", page)
    compare = [
        one
        for one in template.of_type("AWS::CloudWatch::Alarm").values()
        if any("Expression" in query for query in one["Properties"].get("Metrics", ()))
    ]
    found = (len(alarms(template)), len(alarms(full)), len(compare))
    assert tuple(map(int, counts)) == found


def alarms(template: Template) -> set[str]:
    names = template.of_type("AWS::CloudWatch::Alarm")
    return {name.removeprefix("Alarms")[:-8] for name in names if name.startswith("Alarms")}


def test_dashboard_and_alarms_show_what_the_worker_reports(template: Template) -> None:
    shown: set[tuple[str, str]] = set()
    for alarm in template.of_type("AWS::CloudWatch::Alarm").values():
        for query in alarm["Properties"].get("Metrics", []):
            metric = query.get("MetricStat", {}).get("Metric", {})
            if metric.get("Namespace") == "shopkpi":
                values = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
                shown.add((values["event"], metric["MetricName"]))
    (dashboard,) = template.of_type("AWS::CloudWatch::Dashboard").values()
    for widget in json.loads(resolve(dashboard["Properties"]["DashboardBody"]))["widgets"]:
        for namespace, name, *dimensions in widget["properties"].get("metrics", []):
            if namespace == "shopkpi":
                assert dimensions[:3:2] == ["deployment", "event"]
                assert dimensions[1] == environment(template)["SHOPKPI_DEPLOYMENT"]
                shown.add((dimensions[3], name))
    reported = {(event, name) for event, fields in UNITS.items() for name in fields}
    assert len(shown) >= 7
    assert shown <= reported


def test_the_vcpu_quota_of_the_account_raises_an_alarm(template: Template) -> None:
    alarm = template.named("AlarmsVcpuQuota", "AWS::CloudWatch::Alarm")
    share, metric = sorted(alarm["Metrics"], key=lambda one: "MetricStat" in one)
    running = metric["Id"]
    assert share["Expression"] == f"{running} / SERVICE_QUOTA({running}) * 100"
    found = metric["MetricStat"]["Metric"]
    assert (found["Namespace"], found["MetricName"]) == ("AWS/Usage", "ResourceCount")
    assert {one["Name"]: one["Value"] for one in found["Dimensions"]} == {
        "Class": "Standard/OnDemand",
        "Resource": "vCPU",
        "Service": "Fargate",
        "Type": "Resource",
    }
    # For ever in use would be no news: three periods of five minutes.
    assert (alarm["Threshold"], alarm["EvaluationPeriods"]) == (80, 3)


def test_an_audit_that_finds_differences_raises_an_alarm(template: Template) -> None:
    # The worker reports differences as a metric; exit code 3 counts as a failed task, too.
    alarm = template.named("AlarmsAuditDifferences", "AWS::CloudWatch::Alarm")
    (query,) = alarm["Metrics"]
    metric = query["MetricStat"]["Metric"]
    assert (metric["MetricName"], alarm["Threshold"]) == ("differences", 1)
    assert {one["Name"]: one["Value"] for one in metric["Dimensions"]} == {
        "deployment": "shopkpi-dev",
        "event": "audit.finished",
    }


def test_failed_tasks_are_counted_and_those_that_never_started(template: Template) -> None:
    # tests/e2e/cloud/test_event_patterns.py matches events against this pattern.
    rule = template.named("AlarmsBadExit", "AWS::Events::Rule")["EventPattern"]["detail"]
    assert rule["$or"] == [
        {
            "containers": {"exitCode": [{"anything-but": [0, 5]}]},
            "stopCode": [{"anything-but": ["SpotInterruption"]}],
        },
        {"stopCode": ["TaskFailedToStart"]},
    ]
    assert resolve(rule["clusterArn"])[0].startswith("arn:ComputeCluster")
    assert rule["lastStatus"] == ["STOPPED"]


def test_no_mail_says_that_an_alarm_is_over(template: Template, full: Template) -> None:
    for deployment in (template, full):
        for name, alarm in deployment.of_type("AWS::CloudWatch::Alarm").items():
            assert "OKActions" not in alarm["Properties"], name
            assert "InsufficientDataActions" not in alarm["Properties"], name


def test_a_reject_rate_needs_a_hundred_rows(template: Template) -> None:
    alarm = template.named("AlarmsRejectRate", "AWS::CloudWatch::Alarm")
    (rate,) = [query for query in alarm["Metrics"] if "Expression" in query]
    assert rate["Expression"] == "IF(read >= 100, rejected / read, 0)"


def test_prod_misses_uploads_after_a_day(full: Template) -> None:
    # The fixture sets no `success_within_hours`; stage prod has 24.
    alarm = full.named("AlarmsNoSuccess", "AWS::CloudWatch::Alarm")
    (query,) = alarm["Metrics"]
    assert (query["MetricStat"]["Period"], alarm["EvaluationPeriods"]) == (3600, 24)
    assert query["MetricStat"]["Stat"] == "SampleCount"
    assert alarm["TreatMissingData"] == "breaching"


def test_objects_left_behind_raise_an_alarm_after_two_hours(template: Template) -> None:
    alarm = template.named("AlarmsUncommitted", "AWS::CloudWatch::Alarm")
    assert (alarm["MetricName"], alarm["Threshold"]) == ("uncommitted_age_seconds", 7200)
