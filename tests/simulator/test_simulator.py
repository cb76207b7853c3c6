"""Virtual chargers against a scripted CSMS, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any
from unittest import TestCase

from twisted.internet.task import Clock

from csms.ocpp.frames import Call, CallError, CallResult, Frame, encode, parse
from csms.ocpp.schemas import check_request, check_response
from csms.ocpp.versions import Version
from csms.simulator.charger import VirtualCharger
from csms.simulator.curves import Car
from csms.simulator.link import Link

START = datetime(2030, 1, 1, tzinfo=UTC)
Payload = dict[str, Any]


class ScriptedCsms:
    """Answers like a CSMS that accepts everything, checks every request against its schema, and keeps a record."""

    def __init__(self, case: TestCase, version: Version, clock: Clock) -> None:
        self.case = case
        self.version = version
        self.clock = clock
        self.calls: list[Call] = []
        self.results: list[Frame] = []
        self.link: Link | None = None
        self.silent: Callable[[Call], bool] = lambda _: False
        self.refuse: Callable[[Call], bool] = lambda _: False
        self._transactions = 100

    def connect(self, charger: VirtualCharger) -> None:
        self.link = Link(self.version, self.take, charger.obey, self.clock, timeout_s=30)
        charger.online(self.link)

    def disconnect(self, charger: VirtualCharger) -> None:
        link, self.link = self.link, None
        charger.offline()
        assert link is not None
        link.lost()

    def take(self, text: str) -> None:
        frame = parse(text, self.version)
        if not isinstance(frame, Call):
            self.results.append(frame)
            return
        self.case.assertIsNone(check_request(self.version, frame.action, frame.payload), text)
        self.calls.append(frame)
        if self.silent(frame):
            return
        link = self.link
        assert link is not None
        if self.refuse(frame):
            answer: Frame = CallError(frame.unique_id, "InternalError", "", {})
        else:
            answer = CallResult(frame.unique_id, self.answer(frame))
        self.clock.callLater(0.01, lambda: link.received(encode(answer)))

    def answer(self, call: Call) -> Payload:
        match call.action:
            case "BootNotification":
                return {"status": "Accepted", "interval": 60, "currentTime": "2030-01-01T00:00:00Z"}
            case "Heartbeat":
                return {"currentTime": "2030-01-01T00:00:00Z"}
            case "Authorize":
                key = "idTagInfo" if self.version.is_16 else "idTokenInfo"
                return {key: {"status": "Accepted"}}
            case "StartTransaction":
                self._transactions += 1
                return {"transactionId": self._transactions, "idTagInfo": {"status": "Accepted"}}
            case _:
                return {}

    def command(self, action: str, payload: Payload) -> Payload:
        """The charger's answer to a command; it is checked against its schema."""
        self.case.assertIsNone(check_request(self.version, action, payload))
        assert self.link is not None
        self.results.clear()
        self.link.received(encode(Call("command", action, payload)))
        (result,) = self.results
        assert isinstance(result, CallResult), result
        self.case.assertIsNone(check_response(self.version, action, result.payload))
        return result.payload

    def actions(self) -> list[str]:
        return [call.action for call in self.calls]

    def of(self, action: str, **members: Any) -> list[Payload]:
        return [
            call.payload
            for call in self.calls
            if call.action == action and all(call.payload.get(name) == value for name, value in members.items())
        ]


class SimulatorCase(TestCase):
    """One charger with one connector and its CSMS."""

    version = Version.V16

    def setUp(self) -> None:
        self.clock = Clock()
        self.csms = ScriptedCsms(self, self.version, self.clock)
        self.charger = self.make_charger()
        self.charger.start()
        self.addCleanup(self.charger.stop)

    def make_charger(self) -> VirtualCharger:
        return VirtualCharger(
            "SIM-1", self.version, self.clock, Random(1), connectors=1, speed=60, meter_interval_s=5, start=START
        )

    def pass_s(self, seconds: float) -> None:
        self.clock.pump([0.1] * int(seconds * 10))

    def pass_until(self, reached: Callable[[], object], limit_s: float = 2000) -> None:
        for _ in range(int(limit_s * 10)):
            if reached():
                return
            self.clock.advance(0.1)
        self.fail(f"not reached within {limit_s} s: {self.csms.actions()[-20:]}")


class Life16(SimulatorCase):
    """OCPP 1.6."""

    def test_a_session_is_told_from_boot_to_stop_with_a_register_that_only_grows(self) -> None:
        self.csms.connect(self.charger)
        self.pass_until(lambda: self.csms.of("StopTransaction"))
        told = list(dict.fromkeys(self.csms.actions()))
        self.assertEqual(told[:2], ["BootNotification", "StatusNotification"])
        self.assertEqual(told[2:6], ["Authorize", "StartTransaction", "MeterValues", "StopTransaction"])
        start, stop = self.csms.of("StartTransaction")[0], self.csms.of("StopTransaction")[0]
        registers = [float(one["meterValue"][0]["sampledValue"][0]["value"]) for one in self.csms.of("MeterValues")]
        series = [start["meterStart"], *registers, stop["meterStop"]]
        self.assertEqual(series, sorted(series))
        self.assertGreater(stop["meterStop"], start["meterStart"] + 1000)
        self.assertEqual(stop["transactionId"], 101)

    def test_offline_transaction_messages_wait_and_come_in_order_with_their_times(self) -> None:
        self.csms.connect(self.charger)
        self.pass_until(lambda: self.csms.of("MeterValues"))
        self.pass_s(1)
        self.csms.disconnect(self.charger)
        self.pass_s(60)
        before = len(self.csms.calls)
        waiting = len(self.charger.mailbox)
        self.assertGreater(waiting, 5)
        self.csms.connect(self.charger)
        self.pass_until(lambda: not len(self.charger.mailbox))
        self.assertNotIn("BootNotification", self.csms.actions()[before:], "a lost connection is no restart")
        times = [one["meterValue"][0]["timestamp"] for one in self.csms.of("MeterValues")]
        self.assertEqual(times, sorted(times))
        self.assertEqual(len(times), len(set(times)))

    def test_an_unanswered_start_is_repeated_with_the_same_content(self) -> None:
        self.csms.silent = lambda call: call.action == "StartTransaction" and len(self.csms.of(call.action)) == 1
        self.csms.connect(self.charger)
        self.pass_until(lambda: len(self.csms.of("StartTransaction")) == 2)
        first, second = self.csms.of("StartTransaction")
        self.assertEqual(first, second)

    def test_a_message_that_is_refused_three_times_is_given_up_and_the_line_goes_on(self) -> None:
        self.csms.refuse = lambda call: call.action == "StartTransaction"
        self.csms.connect(self.charger)
        self.pass_until(lambda: self.csms.of("StopTransaction"))
        self.assertEqual(len(self.csms.of("StartTransaction")), 3)
        self.assertEqual(self.charger.mailbox.given_up, 1)
        self.assertEqual(self.csms.of("StopTransaction")[0]["transactionId"], -1)

    def test_remote_start_and_stop_are_obeyed(self) -> None:
        self.csms.connect(self.charger)
        self.pass_s(0.3)
        answer = self.csms.command("RemoteStartTransaction", {"idTag": "REMOTE", "connectorId": 1})
        self.assertEqual(answer, {"status": "Accepted"})
        self.pass_until(lambda: self.csms.of("StartTransaction", idTag="REMOTE"), 5)
        self.pass_until(lambda: self.csms.of("MeterValues"), 20)
        self.assertEqual(self.csms.command("RemoteStopTransaction", {"transactionId": 5}), {"status": "Rejected"})
        self.csms.command("RemoteStopTransaction", {"transactionId": 101})
        self.pass_until(lambda: self.csms.of("StopTransaction", transactionId=101, reason="Remote"), 5)

    def test_configuration_is_read_and_changed(self) -> None:
        self.csms.connect(self.charger)
        change = {"key": "HeartbeatInterval", "value": "77"}
        self.assertEqual(self.csms.command("ChangeConfiguration", change), {"status": "Accepted"})
        keys = {"key": ["HeartbeatInterval", "NoSuchKey"]}
        answer = self.csms.command("GetConfiguration", keys)
        self.assertEqual(answer["configurationKey"][0]["value"], "77")
        self.assertEqual(answer["unknownKey"], ["NoSuchKey"])

    def test_reset_hangs_up_and_boots_again(self) -> None:
        hung_up: list[bool] = []
        self.charger.hang_up = lambda: hung_up.append(True)
        self.csms.connect(self.charger)
        self.pass_s(1)
        self.csms.command("Reset", {"type": "Soft"})
        self.pass_s(1)
        self.assertEqual(hung_up, [True])
        self.csms.disconnect(self.charger)
        self.csms.connect(self.charger)
        self.pass_s(1)
        self.assertEqual(len(self.csms.of("BootNotification")), 2)

    def test_an_unknown_command_gets_a_callerror(self) -> None:
        self.csms.connect(self.charger)
        assert self.csms.link is not None
        self.csms.link.received(encode(Call("x", "SendLocalList", {})))
        self.assertEqual(self.csms.results, [CallError("x", "NotImplemented", "no SendLocalList here", {})])


class Life201(SimulatorCase):
    """OCPP 2.0.1."""

    version = Version.V201

    def test_a_transaction_numbers_its_events_without_gap(self) -> None:
        self.csms.connect(self.charger)
        self.pass_until(lambda: self.csms.of("TransactionEvent", eventType="Ended"))
        events = self.csms.of("TransactionEvent")
        self.assertEqual([event["seqNo"] for event in events], list(range(len(events))))
        self.assertEqual(events[0]["eventType"], "Started")
        self.assertEqual({event["eventType"] for event in events[1:-1]}, {"Updated"})
        self.assertEqual(len({event["transactionInfo"]["transactionId"] for event in events}), 1)

    def test_a_repeat_after_a_lost_connection_keeps_its_seq_no(self) -> None:
        self.csms.silent = lambda call: (
            call.payload.get("seqNo") == 1 and len(self.csms.of("TransactionEvent", seqNo=1)) == 1
        )
        self.csms.connect(self.charger)
        self.pass_until(lambda: self.csms.of("TransactionEvent", seqNo=1))
        self.csms.disconnect(self.charger)
        self.csms.connect(self.charger)
        self.pass_until(lambda: self.csms.of("TransactionEvent", seqNo=2))
        first, second = self.csms.of("TransactionEvent", seqNo=1)
        self.assertEqual(first, second)

    def test_remote_start_carries_its_id(self) -> None:
        self.csms.connect(self.charger)
        self.pass_s(0.3)
        token = {"idToken": "REMOTE", "type": "Central"}
        answer = self.csms.command("RequestStartTransaction", {"idToken": token, "remoteStartId": 9, "evseId": 1})
        self.assertEqual(answer, {"status": "Accepted"})
        self.pass_until(lambda: self.csms.of("TransactionEvent"), 5)
        self.assertEqual(self.csms.of("TransactionEvent")[0]["transactionInfo"]["remoteStartId"], 9)

    def test_variables_are_read_set_and_reported(self) -> None:
        self.csms.connect(self.charger)
        self.pass_s(1)
        variable = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}
        self.csms.command("SetVariables", {"setVariableData": [{**variable, "attributeValue": "44"}]})
        answer = self.csms.command("GetVariables", {"getVariableData": [variable]})
        self.assertEqual(answer["getVariableResult"][0]["attributeValue"], "44")
        self.csms.command("GetBaseReport", {"requestId": 3, "reportBase": "FullInventory"})
        self.pass_s(1)
        self.assertEqual(self.csms.of("NotifyReport")[0]["requestId"], 3)


class Life21(Life201):
    """OCPP 2.1: the same, checked against its own schemas."""

    version = Version.V21


class Cars(TestCase):
    """The power that cars take."""

    def test_power_falls_as_the_battery_fills_and_energy_adds_up(self) -> None:
        car = Car(capacity_wh=50_000, max_power_w=11_000, soc_percent=20, target_percent=100)
        random = Random(1)
        early = car.power_w(random)
        energy = 0.0
        while car.soc_percent < 95:
            energy += car.charge(car.power_w(random), 60)
        self.assertLess(car.power_w(random), early / 2)
        self.assertAlmostEqual(energy, 50_000 * (car.soc_percent - 20) / 100, places=3)

    def test_a_full_battery_takes_nothing_more(self) -> None:
        car = Car(capacity_wh=50_000, max_power_w=11_000, soc_percent=100, target_percent=100)
        self.assertEqual(car.charge(11_000, 3600), 0)
