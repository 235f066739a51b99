"""Rule that starts the intake state machine."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from infra.settings import Settings
from tests.unit.infra.templates import Template, resolve
from tests.unit.infra.workflows.expressions import chosen, state
from worker.validate.input_names import is_ignored


def test_the_rule_listens_to_the_datasets_and_keeps_what_fails(
    template: Template, full: Template
) -> None:
    rule = template.named("IntakeObjectCreated", "AWS::Events::Rule")
    assert resolve(rule["EventPattern"]["detail"]["object"]["key"]) == [
        {"prefix": "orders/"},
        {"prefix": "order_items/"},
        {"prefix": "products/"},
    ]
    (target,) = rule["Targets"]
    assert target["RetryPolicy"] == {
        "MaximumEventAgeInSeconds": 86400,
        "MaximumRetryAttempts": 185,
    }
    assert resolve(target["DeadLetterConfig"]["Arn"]).startswith("arn:NotificationsDeadLetters")
    assert resolve(target["Arn"]).startswith("IntakeStateMachine")
    by_patterns = full.named("IntakeObjectCreated", "AWS::Events::Rule")["EventPattern"]
    assert by_patterns["detail"]["object"]["key"] == [{"prefix": "incoming/"}]


def test_by_patterns_every_key_below_the_prefix_is_an_upload() -> None:
    from infra.workflows.intake import keys_below  # noqa: PLC0415  (importing it starts Node)

    assert keys_below(Settings(contract="shopify")) == {}
    folders = keys_below(Settings(incoming_prefix="in/"))
    assert folders["object"]["key"][0] == {"prefix": "in/orders/"}


NAMES = st.sampled_from(
    [
        *("_SUCCESS", "success", ".a", "a.csv", "a.tmp", "a.csv~", "#a#", "~$a.xlsx", "x_$folder$"),
        *(
            "Lost+Found",
            "_committed_7",
            "_committed_x",
            "thumbs.DB",
            "a.part.csv",
            "tmp",
            "\\a.bak",
        ),
    ]
)


@given(st.lists(NAMES | st.text("._~#$tmpbakSU1/\\", max_size=6), min_size=1, max_size=3))
def test_markers_are_those_of_the_worker(template: Template, names: list[str]) -> None:
    key = "/".join(names)
    document = {"detail": {"bucket": {"name": "b"}, "object": {"key": key, "version-id": "v"}}}
    no_data = key.endswith("/") or is_ignored(key)
    next_ = chosen(state(template, "intake", "WhichVersion"), document)
    assert next_ == ("Ignored" if no_data else "VersionOfEvent")
