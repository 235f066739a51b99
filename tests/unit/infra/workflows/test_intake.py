"""Rule that starts the intake state machine."""

from __future__ import annotations

from tests.unit.infra.templates import Template, resolve


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
    prefixed = full.named("IntakeObjectCreated", "AWS::Events::Rule")["EventPattern"]
    assert prefixed["detail"]["object"]["key"][0] == {"prefix": "incoming/orders/"}
