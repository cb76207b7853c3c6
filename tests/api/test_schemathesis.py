"""Whatever the OpenAPI document allows or forbids: csms answers as it says, and never with a fault of its own."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)
from twisted.internet.threads import deferToThread

from csms.api.openapi import document
from csms.api.resources.registry import OPERATIONS
from tests.api.test_resources import ResourceTestCase

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
EXAMPLES = 6
ENDS_SIGN_INS = {"signOut", "removeApiToken"}
"""They would end what the others are asked by."""


class SchemathesisTest(ResourceTestCase):
    timeout = 300

    async def test_every_operation_answers_as_the_document_says(self) -> None:
        await self.with_samples(2)
        (number,) = await self.with_sessions("CP-2", 1)
        await self.with_messages(number)
        body = {"name": "test", "role": "admin", "expiresAt": "2026-03-02T00:00:00Z"}
        token = (await self.change("POST", "/api/v1/api-tokens", body)).json()["token"]
        schema = schemathesis.openapi.from_dict(document(row for row in OPERATIONS if row.name not in ENDS_SIGN_INS))
        self.requests = 0
        failures = await deferToThread(self.run_all, schema, token)
        self.assertEqual(failures, [])
        self.assertGreater(self.requests, 3 * len(OPERATIONS))

    def run_all(self, schema: Any, token: str) -> list[str]:
        """In a thread, as it blocks."""
        failures: list[str] = []
        for found in schema.get_all_operations():
            operation = found.ok()
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                try:
                    self.examine(operation, mode, token)
                except Exception as error:
                    failures.append(f"{operation.label}: {error}")
        return failures

    def examine(self, operation: Any, mode: GenerationMode, token: str) -> None:
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def one(case: Any) -> None:
            self.requests += 1
            case.call_and_validate(
                base_url=self.url, headers={"Authorization": f"Bearer {token}"}, checks=CHECKS, timeout=20
            )

        given(case=operation.as_strategy(generation_mode=mode))(one)()
