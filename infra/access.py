"""Managed policies for people and programs outside of the stack: uploaders, readers of KPIs."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.buckets import UPLOAD, Buckets
from infra.compute import READ_ITEMS
from infra.settings import Settings
from infra.tables import Tables


class Access(Construct):
    """Policies to attach to roles and users; the stack itself attaches them to nothing.

    Attributes:
        uploaders: Put objects where the rule looks for uploads, and read or delete none.
        readers: Read KPIs and the ledger, as `shopkpi query` and a program of its own do. No row
            of a customer is there.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: Settings,
        buckets: Buckets,
        tables: Tables,
        key_rights: Sequence[iam.PolicyStatement],
    ) -> None:
        super().__init__(scope, construct_id)
        self.uploaders = iam.ManagedPolicy(
            self,
            "Uploaders",
            description="Upload files to shopkpi",
            statements=[
                iam.PolicyStatement(
                    actions=list(UPLOAD),
                    resources=[
                        buckets.input.arn_for_objects(f"{folder}*")
                        for folder in settings.incoming_folders
                    ],
                ),
                *key_rights,
            ],
        )
        kpis = list(tables.kpis.values())
        self.readers = iam.ManagedPolicy(
            self,
            "Readers",
            description="Read the KPIs of shopkpi",
            statements=[
                iam.PolicyStatement(
                    actions=list(READ_ITEMS),
                    resources=[one.table_arn for one in (tables.ledger, *kpis)],
                ),
                iam.PolicyStatement(
                    actions=["dynamodb:Query"],
                    resources=[f"{one.table_arn}/index/*" for one in kpis],
                ),
            ],
        )
