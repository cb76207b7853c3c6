from __future__ import annotations

import json
from typing import Any
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from csms.domain.secrets import NOT_KEPT, is_secret_name, without_secrets

SECRET = "s3cr3t-of-a-charger"
VPN = {"server": "v", "user": "u", "password": SECRET, "key": SECRET, "type": "IPSec"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["key", "value", "a"]), inner),
    max_leaves=10,
)


class SecretsTests(TestCase):
    def test_nothing_secret_is_left_and_the_rest_stays(self) -> None:
        variable = {"component": {"name": "SecurityCtrlr"}, "variable": {"name": "BasicAuthPassword"}}
        payloads: list[dict[str, Any]] = [
            {"key": "AuthorizationKey", "value": SECRET},
            {"key": "wifiPASSWORD", "value": SECRET},
            {"configurationKey": [{"key": "authorizationkey", "readonly": False, "value": SECRET}, {"key": "a"}]},
            {"setVariableData": [{**variable, "attributeValue": SECRET}]},
            {"getVariableResult": [{**variable, "attributeStatus": "Accepted", "attributeValue": SECRET}]},
            {"reportData": [{**variable, "variableAttribute": [{"type": "Actual", "value": SECRET}]}]},
            {"eventData": [{**variable, "actualValue": SECRET}]},
            {"connectionData": {"apn": {"apn": "a", "apnPassword": SECRET}, "vpn": VPN, "ocppCsmsUrl": "wss://x"}},
            {"connectionData": {"basicAuthPassword": SECRET, "identity": "CP1"}},
            {"location": f"ftp://user:{SECRET}@files.example/in"},
            {"location": f"ftp://{SECRET}@files.example/in"},
            {"firmware": {"location": f"https://u:{SECRET}@files.example/@2x.bin"}},
            {"log": {"remoteLocation": f"sftp://u:{SECRET}@[::1]:22/x"}},
        ]
        for payload in payloads:
            shown = json.dumps(without_secrets(payload))
            self.assertNotIn(SECRET, shown)
            self.assertIn(NOT_KEPT, shown)
            self.assertIn(SECRET, json.dumps(payload), "what is sent must not change")
        self.assertEqual(
            without_secrets({"location": f"ftp://user:{SECRET}@files.example/in"}),
            {"location": f"ftp://{NOT_KEPT}@files.example/in"},
        )

    def test_what_holds_no_secret_is_itself(self) -> None:
        for payload in (
            {"key": "HeartbeatInterval", "value": "60"},
            {"location": "ftp://files.example/a@b"},
            {"idTag": "a@b", "vendorId": "x://y"},
            {"csChargingProfiles": {"chargingSchedule": {"chargingSchedulePeriod": [{"startPeriod": 0}]}}},
            {"variable": {"name": "BasicAuthPassword"}},
            {},
        ):
            self.assertIs(without_secrets(payload), payload)

    def test_names(self) -> None:
        for name in ("AuthorizationKey", "BasicAuthPassword", "WifiPassphrase", "ClientSecret", "FtpPasswd"):
            self.assertTrue(is_secret_name(name), name)
        for name in ("LocalAuthListEnabled", "AuthorizeRemoteTxRequests", "ConnectorPhaseRotation", "Keyboard"):
            self.assertFalse(is_secret_name(name), name)

    @given(JSON)
    def test_nothing_that_a_charger_sends_breaks_it(self, payload: Any) -> None:
        json.dumps(without_secrets(payload))
