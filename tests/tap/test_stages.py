"""Stages of a process: order of start and stop, failure at start, stop while starting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.application.service import Application
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.components import Componentized
from twisted.trial.unittest import SynchronousTestCase

from csms.logs import LateObserver
from csms.ports import DatabaseError
from csms.tap.stages import Process, Stage


class FakeReactor:
    """Runs from the beginning, and remembers that it was stopped."""

    def __init__(self) -> None:
        self.stopped = False
        self.waiting: list[Callable[[], Any]] = []

    def callWhenRunning(self, function: Callable[[], Any]) -> None:
        self.waiting.append(function)

    def run(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()

    def stop(self) -> None:
        self.stopped = True


class ProcessTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.trace: list[str] = []
        self.failed = False
        self.events: list[LogEvent] = []
        observer = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def stage(self, name: str, starting: Deferred[None] | Exception | None = None) -> Stage:
        async def start() -> None:
            self.trace.append(f"start {name}")
            if isinstance(starting, Exception):
                raise starting
            if starting is not None:
                await starting

        async def stop() -> None:
            self.trace.append(f"stop {name}")

        return Stage(name, start, stop)

    def process(self, *stages: Stage) -> Process:
        def leave(reactor: object) -> None:
            self.failed = True

        process = Process("csms", stages, reactor=self.reactor, leave=leave)
        process.startService()
        self.reactor.run()
        return process

    def messages(self) -> list[str]:
        return [event["log_format"].format(**event) for event in self.events if event["log_namespace"] == "csms.tap"]

    def test_stages_start_in_order_and_stop_in_the_opposite_one(self) -> None:
        process = self.process(self.stage("a"), self.stage("b"))
        self.successResultOf(process.stopService())
        self.assertEqual(self.trace, ["start a", "start b", "stop b", "stop a"])

    def test_a_stage_waits_for_the_one_before_it(self) -> None:
        slow: Deferred[None] = Deferred()
        self.process(self.stage("a", slow), self.stage("b"))
        self.assertEqual(self.trace, ["start a"])
        slow.callback(None)
        self.assertEqual(self.trace, ["start a", "start b"])

    def test_nothing_starts_before_the_reactor_runs(self) -> None:
        process = Process("csms", [self.stage("a")], reactor=self.reactor)
        process.startService()
        self.assertEqual(self.trace, [])

    def test_a_known_failure_is_one_line_and_ends_the_process(self) -> None:
        self.process(self.stage("a"), self.stage("http", CannotListenError("lo", 80, OSError(98, "in use"))))
        self.assertTrue(self.failed)
        self.assertEqual(self.messages(), ["http cannot start: Couldn't listen on lo:80: [Errno 98] in use."])

    def test_after_a_failure_what_was_started_is_stopped(self) -> None:
        process = self.process(self.stage("a"), self.stage("b", DatabaseError("no")), self.stage("c"))
        self.successResultOf(process.stopService())
        self.assertEqual(self.trace, ["start a", "start b", "stop b", "stop a"])

    def test_an_unknown_failure_keeps_its_traceback(self) -> None:
        self.process(self.stage("a", KeyError("bug")))
        self.assertTrue(self.failed)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_a_stop_while_starting_cancels_and_stops_what_was_begun(self) -> None:
        process = self.process(self.stage("a"), self.stage("b", Deferred()), self.stage("c"))
        self.successResultOf(process.stopService())
        self.assertEqual(self.trace, ["start a", "start b", "stop b", "stop a"])
        self.assertFalse(self.failed)

    def test_a_stop_before_the_reactor_runs_starts_nothing(self) -> None:
        process = Process("csms", [self.stage("a")], reactor=self.reactor)
        process.startService()
        self.successResultOf(process.stopService())
        self.reactor.run()
        self.assertEqual(self.trace, [])

    def test_a_stage_that_fails_to_stop_does_not_keep_the_others(self) -> None:
        async def broken() -> None:
            raise ValueError("stuck")

        process = self.process(self.stage("a"), Stage("b", stop=broken))
        self.successResultOf(process.stopService())
        self.assertEqual(self.trace, ["start a", "stop a"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_its_observer_becomes_the_log_of_the_application(self) -> None:
        observer = LateObserver(lambda: cast(ILogObserver, self.events.append))
        application: Componentized = Application("csms")
        process = Process("csms", [], reactor=self.reactor, observer=observer)
        process.setServiceParent(application)
        self.assertIs(application.getComponent(ILogObserver), observer)
