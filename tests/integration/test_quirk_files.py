"""Behaviour of real chargers on their sockets, replayed from files (``quirks/*.json``) against a real process.

``steps``: ``open`` a socket, with the older one left as it is; ``send`` a frame, or ``text`` as it stands, or several
``send_together``, and get exactly these ``answers`` (as far as they are given); ``older_closed_with`` this code;
``cut_older``; ``send_and_cut``. "$transactionId" is what StartTransaction was answered. Then what must be known:
``sessions``, whether the charger is ``connected``, and what was ``counted`` at least.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

from tests.integration.bad_input_case import BadInputCase
from tests.integration.people import get, sign_in
from tests.integration.raw_peer import TIMEOUT_S, RawPeer, frame

QUIRKS: dict[str, dict[str, Any]] = {
    file.stem: json.loads(file.read_text()) for file in sorted((Path(__file__).parent / "quirks").glob("*.json"))
}


class QuirksOnSockets(BadInputCase):
    settings: ClassVar[dict[str, str]] = {"CSMS_GATEWAY_MISSING_SUBPROTOCOL": "ocpp1.6"}
    cookie: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.cookie = sign_in(cls.service.sign_in_link())

    def test_there_is_a_file_for_each_quirk_of_sockets(self) -> None:
        self.assertEqual({quirk["quirk"] for quirk in QUIRKS.values()}, {f"Q{number}" for number in range(12, 21)})

    def test_each_quirk_has_its_defined_outcome(self) -> None:
        for name, quirk in QUIRKS.items():
            with self.subTest(quirk=name), ExitStack() as counted:
                for metric, least in quirk.get("counted", {}).items():
                    counted.enter_context(self.counting(metric, least))
                device_id = name.partition("_")[0].upper()
                self.replay(quirk, device_id)
                self.check(device_id, (quirk["connected"], quirk.get("sessions", [])))

    def replay(self, quirk: dict[str, Any], device_id: str) -> None:
        """Do what the file says."""
        older: RawPeer | None = None
        peer: RawPeer | None = None
        saved: dict[str, Any] = {}
        for step in quirk["steps"]:
            if "open" in step:
                older, peer = peer, self.peer()
                subprotocol, headers = quirk.get("subprotocol", "ocpp1.6"), quirk.get("headers", "")
                peer.open(device_id, subprotocol=subprotocol, headers=headers)
                continue
            assert peer is not None
            if "older_closed_with" in step:
                assert older is not None
                self.assertEqual(older.message(), step["older_closed_with"])
            elif "cut_older" in step:
                assert older is not None
                older.close()
            elif "send_and_cut" in step:
                peer.send(frame(_filled(step["send_and_cut"], saved)))
                peer.close()
            else:
                together = step.get("send_together") or [step["send"]] if "text" not in step else []
                texts = [step["text"]] if "text" in step else [_filled(one, saved) for one in together]
                peer.send(b"".join(map(frame, texts)))
                came = peer.until_heartbeat()
                self.assertEqual(len(came), len(step["answers"]), came)
                for answer, expected in zip(came, step["answers"], strict=True):
                    self.assertEqual(answer[: len(expected)], expected)
                    saved |= {key: value for key, value in answer[2].items() if key == "transactionId"}

    def known(self, device_id: str) -> tuple[bool, list[dict[str, Any]]]:
        """Whether the charger is connected, and its sessions, as far as the file looks at them."""
        port = self.service.http_port
        charger = get(port, f"/api/v1/chargers/{device_id}", self.cookie)
        sessions = get(port, f"/api/v1/sessions?deviceId={device_id}", self.cookie)["items"]
        expected = next(q for name, q in QUIRKS.items() if name.upper().startswith(device_id)).get("sessions", [])
        if len(sessions) != len(expected):
            return charger["connected"], sessions
        return charger["connected"], [
            {key: one[key] for key in wanted} for one, wanted in zip(sessions, expected, strict=True)
        ]

    def check(self, device_id: str, expected: tuple[bool, list[dict[str, Any]]]) -> None:
        """What follows an answer follows soon."""
        limit = time.monotonic() + TIMEOUT_S
        while (known := self.known(device_id)) != expected and time.monotonic() < limit:
            time.sleep(0.02)
        self.assertEqual(known, expected)


def _filled(message: list[Any], saved: dict[str, Any]) -> str:
    text = json.dumps(message)
    for name, value in saved.items():
        text = text.replace(f'"${name}"', json.dumps(value))
    return text
