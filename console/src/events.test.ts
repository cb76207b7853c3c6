import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { follow } from "./events";

class FakeSocket {
  static all: FakeSocket[] = [];
  sent: unknown[] = [];
  onopen?: () => void;
  onmessage?: (message: { data: string }) => void;
  onclose?: () => void;

  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.onclose?.();
  }

  open(feed: string, ...ids: string[]): void {
    this.onopen?.();
    this.tell({ event: "welcome", feed });
    for (const id of ids) this.tell({ event: "notification", id });
  }

  tell(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

const latest = (): FakeSocket => FakeSocket.all.at(-1)!;
let told: string[];
let stop: () => void;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  told = [];
  stop = follow("ws://csms/events", {
    onLink: () => {},
    onNotification: (note) => told.push(note.id),
    onReset: () => told.push("reset"),
  });
});

afterEach(() => {
  stop();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const comeBack = (): void => {
  latest().close();
  vi.runOnlyPendingTimers();
};

test("the first connection loads the state, a later one resumes with the last id and where it came", () => {
  latest().open("one", "a", "b");
  comeBack();
  latest().open("two");
  expect(latest().sent).toEqual([{ action: "resume", id: "b", feed: "one" }]);
  comeBack();
  latest().open("three");
  expect(latest().sent).toEqual([{ action: "resume", id: "b", feed: "one" }]);
  latest().tell({ event: "notification", id: "c" });
  comeBack();
  latest().open("three");
  expect(latest().sent).toEqual([{ action: "resume", id: "c", feed: "three" }]);
  expect(told).toEqual(["reset", "a", "b", "c"]);
});

test("what another gateway repeats is told once", () => {
  latest().open("one", "a", "b");
  comeBack();
  latest().open("two", "a", "c", "b", "d");
  expect(told).toEqual(["reset", "a", "b", "c", "d"]);
});

test("a reset loads the state anew", () => {
  latest().open("one", "a");
  latest().tell({ event: "reset" });
  expect(told).toEqual(["reset", "a", "reset"]);
  latest().tell({ event: "error", reason: "unknown field `feed`" });
  expect(told).toEqual(["reset", "a", "reset", "reset"]);
});
