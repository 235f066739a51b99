"""What a person asks for, as executions: retractions, restorations, contracts."""

from __future__ import annotations

import json

from infra.compute import NOT_NOW
from infra.workflows.operations import PROPOSAL_KEY
from tests.e2e.cloud.deployment import Deployment, Json

ORDERS = b"order_id,user_id,status,created_at\n"


def operate(deployment: Deployment, number: int, **document: object) -> Json:
    """Start an operation, and return its execution once it has ended."""
    deployment.start("operations", document)
    return deployment.wait(number, "operations")[-1]


def days(deployment: Deployment) -> dict[object, int]:
    rows = deployment.rows("order_kpis")
    return {row["order_date"]: int(str(row["total_orders"])) for row in rows}


def test_operations_on_archived_uploads(deployment: Deployment) -> None:
    messages = deployment.subscribe()
    deployment.upload("orders/a.csv", ORDERS + b"1,7,shipped,2025-03-01T10:00:00\n")
    deployment.drain(1)
    deployment.upload("orders/b.csv", ORDERS + b"2,7,shipped,2025-03-02T10:00:00\n")
    deployment.drain(2)
    assert deployment.keys("InputBucket") == []
    assert days(deployment) == {"2025-03-01": 1, "2025-03-02": 1}
    source = f"s3://{deployment.outputs['InputBucket']}/orders/b.csv"

    done = operate(deployment, 1, operation="retract", source=source, reason="a test")
    assert done["status"] == "SUCCEEDED"
    assert days(deployment) == {"2025-03-01": 1}
    done = operate(deployment, 2, operation="restore", source=source)
    assert done["status"] == "SUCCEEDED"
    assert days(deployment) == {"2025-03-01": 1, "2025-03-02": 1}

    # Refused by the contract in force, and by the proposed one not.
    deployment.upload("orders/texts.csv", ORDERS + b"A-9,7,shipped,2025-03-04T10:00:00\n")
    deployment.drain(3)
    assert [message["event"] for message in messages] == ["batch.refused"]

    done = operate(deployment, 3, operation="propose", contract="string-ids")
    assert deployment.states_of(done)[-2:] == ["NotifyProposal", "Done"]
    proposal: Json = json.loads(deployment.read("CleanBucket", PROPOSAL_KEY))
    assert "orders.columns.order_id.type: 'integer' -> 'string'" in proposal["differences"]
    assert (proposal["days"], proposal["first_day"]) == (1, "2025-03-04")
    found = [one for one in deployment.receive() if one["event"] == "contract.proposed"]
    assert [one["proposal"] for one in found] == [proposal]
    assert days(deployment) == {"2025-03-01": 1, "2025-03-02": 1}  # nothing has changed

    # A task that is told "not now" is asked again.
    deployment.exit_next("contract", NOT_NOW)
    done = operate(deployment, 4, operation="adopt", contract="string-ids")
    assert done["status"] == "SUCCEEDED"
    assert "WaitForAdopt" in deployment.states_of(done)
    # Tasks take the contract of the ledger; the image still brings the other one.
    deployment.upload("orders/c.csv", ORDERS + b"A-3,7,shipped,2025-03-03T10:00:00\n")
    deployment.drain(4)
    # What was in quarantine counts since the adoption.
    assert days(deployment) == {f"2025-03-0{day}": 1 for day in (1, 2, 3, 4)}

    done = operate(deployment, 5, operation="retract", source="nothing.csv")
    assert done["status"] == "FAILED"
    assert deployment.states_of(done)[-2:] == ["NotifyFailure", "Failed"]
