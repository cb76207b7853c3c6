import { describe, expect, it } from "vitest";

import { applied, empty, FEED_LENGTH, loaded, type Notification } from "./state";

let count = 0;
const note = (type: string, data: Record<string, unknown> = {}): Notification => ({
  event: "notification",
  type,
  chargerId: 1,
  deviceId: "CP-1",
  data,
  timestamp: "2030-01-01T00:00:00Z",
  id: `event-${count++}`,
});

describe("sessions", () => {
  const started = applied(empty, note("charging.started", { sessionId: 7, evseId: 1, connectorId: 1, idToken: "CARD" }));

  it("appear when charging starts and follow the meter", () => {
    const metered = applied(started, note("meter.values.updated", { sessionId: 7, energyWh: 1500, powerW: 7400 }));
    expect(metered.sessions.get(7)).toMatchObject({ idToken: "CARD", energyWh: 1500, powerW: 7400 });
  });

  it("vanish when charging stops", () => {
    expect(applied(started, note("charging.stopped", { sessionId: 7 })).sessions.size).toBe(0);
  });

  it("are not made by meter values or a late update of a session that is over", () => {
    const after = applied(empty, note("meter.values.updated", { sessionId: 9, energyWh: 10 }));
    expect(after.sessions.size).toBe(0);
    expect(applied(empty, note("charging.updated", { sessionId: 9, energyWh: 10 })).sessions.size).toBe(0);
  });
});

describe("chargers", () => {
  it("show the newest status of each connector, in order", () => {
    let state = applied(empty, note("charger.status.changed", { evseId: 2, connectorId: 2, status: "Available" }));
    state = applied(state, note("charger.status.changed", { evseId: 1, connectorId: 1, status: "Preparing" }));
    state = applied(state, note("charger.status.changed", { evseId: 2, connectorId: 2, status: "Faulted" }));
    const connectors = state.chargers.get("CP-1")?.connectors ?? [];
    expect(connectors.map((one) => [one.evseId, one.status])).toEqual([[1, "Preparing"], [2, "Faulted"]]);
  });

  it("go offline and come back", () => {
    const offline = applied(applied(empty, note("charger.connected")), note("charger.disconnected"));
    expect(offline.chargers.get("CP-1")?.connected).toBe(false);
    expect(applied(offline, note("charger.connected")).chargers.get("CP-1")?.connected).toBe(true);
  });

  it("keep what a reload brought", () => {
    const charger = { ...applied(empty, note("charger.connected")).chargers.get("CP-1")!, vendor: "Acme" };
    const state = applied(loaded(empty, [charger], []), note("charger.disconnected"));
    expect(state.chargers.get("CP-1")).toMatchObject({ vendor: "Acme", connected: false });
  });
});

describe("the feed", () => {
  it("is bounded, newest first, and leaves meter values out", () => {
    let state = empty;
    for (let i = 0; i < FEED_LENGTH + 20; i++) state = applied(state, note("charger.connected", { i }));
    state = applied(state, note("meter.values.updated", {}));
    expect(state.feed).toHaveLength(FEED_LENGTH);
    expect(state.feed[0]?.data.i).toBe(FEED_LENGTH + 19);
  });

  it("takes hostile values as they are, without failing", () => {
    const odd = note("charger.status.changed", { evseId: "<img onerror=x>", status: 5, connectorId: null });
    expect(applied(empty, odd).feed).toHaveLength(1);
  });
});
