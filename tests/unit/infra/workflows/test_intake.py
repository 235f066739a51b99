"""Rule that starts the intake state machine."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from infra.settings import Settings
from tests.unit.infra.templates import Json, Template, resolve
from tests.unit.infra.workflows.expressions import chosen, evaluate, state
from worker.batches.record import read_upload
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
    assert rule["EventPattern"]["detail"]["object"]["size"] == [{"numeric": ["<=", 64 * MIB]}]
    kept = {"MaximumEventAgeInSeconds": 86400, "MaximumRetryAttempts": 185}
    queue, wake = rule["Targets"]
    assert queue["RetryPolicy"] == kept
    assert resolve(queue["DeadLetterConfig"]["Arn"]).startswith("arn:NotificationsDeadLetters")
    assert resolve(queue["Arn"]).startswith("arn:UploadsQueue")
    assert "Input" not in queue  # the event itself is the message
    assert json.loads(wake["Input"]) == {"wake": True}
    large = template.named("IntakeLargeObjectCreated", "AWS::Events::Rule")
    assert large["EventPattern"]["detail"]["object"]["size"] == [{"numeric": [">", 64 * MIB]}]
    (target,) = large["Targets"]
    assert target["RetryPolicy"] == kept
    assert resolve(target["Arn"]).startswith("IntakeStateMachine")
    by_patterns = full.named("IntakeObjectCreated", "AWS::Events::Rule")["EventPattern"]
    assert by_patterns["detail"]["object"]["key"] == [{"prefix": "incoming/"}]


def test_by_patterns_every_key_below_the_prefix_is_an_upload() -> None:
    from infra.workflows.intake import keys_below  # noqa: PLC0415  (importing it starts Node)

    assert keys_below(Settings(contract="shopify")) == {}
    folders = keys_below(Settings(incoming_prefix="in/"))
    assert folders["object"]["key"][0] == {"prefix": "in/orders/"}


MIB = 2**20


def test_uploads_of_one_window_start_one_execution(template: Template) -> None:
    assert chosen(state(template, "intake", "WhichVersion"), {"wake": True}) == "StartBatches"
    start = state(template, "intake", "StartBatches")
    names = {evaluate(start["Arguments"]["Name"], input={}) for _ in range(20)}
    assert len(names) <= 2
    # The queue has the message, whatever fails here.
    assert [rule["Next"] for rule in start["Catch"]] == ["Woken"]


def test_a_small_object_that_the_sweep_finds_goes_into_the_queue(template: Template) -> None:
    choice = state(template, "intake", "IsSmall")
    assert chosen(choice, {"size": 64 * MIB}) == "Enqueue"
    assert chosen(choice, {"size": 64 * MIB + 1}) == "StartIngest"
    found = {"bucket": "in", "key": "orders/a b.csv", "size": 7, "version_id": "v"}
    body = state(template, "intake", "Enqueue")["Arguments"]["MessageBody"]
    upload = read_upload(json.dumps(filled(body, found)))
    assert upload is not None
    assert (upload.bucket, upload.key, upload.version_id) == ("in", "orders/a b.csv", "v")
    assert upload.size_bytes == 7


def filled(value: object, document: Json) -> object:
    """Evaluate every expression in an argument."""
    if isinstance(value, dict):
        return {name: filled(one, document) for name, one in value.items()}
    is_expression = isinstance(value, str) and value.startswith("{%")
    return evaluate(str(value), input=document) if is_expression else value


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
