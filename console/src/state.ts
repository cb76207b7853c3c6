// What the page knows: pure functions from a state and an event to the next state.

import type { Charger, Connector, Session } from "./api";

export interface Notification {
  event: "notification";
  type: string;
  chargerId: number;
  deviceId: string;
  data: Record<string, unknown>;
  timestamp: string;
  id: string;
}

export interface State {
  chargers: ReadonlyMap<string, Charger>;
  sessions: ReadonlyMap<number, Session>;
  feed: readonly Notification[];
}

export const FEED_LENGTH = 60;
export const empty: State = { chargers: new Map(), sessions: new Map(), feed: [] };

/** Types that say little to a person who watches: they change numbers, not the feed. */
const QUIET = new Set(["meter.values.updated", "charging.updated"]);

const text = (value: unknown, otherwise: string): string => (typeof value === "string" ? value : otherwise);
const number = <T>(value: unknown, otherwise: T): number | T => (typeof value === "number" ? value : otherwise);

export function loaded(state: State, chargers: Charger[], sessions: Session[]): State {
  return {
    ...state,
    chargers: new Map(chargers.map((charger) => [charger.deviceId, charger])),
    sessions: new Map(sessions.map((session) => [session.id, session])),
  };
}

export function applied(state: State, note: Notification): State {
  const feed = QUIET.has(note.type) ? state.feed : [note, ...state.feed].slice(0, FEED_LENGTH);
  return {
    chargers: chargersAfter(state.chargers, note),
    sessions: sessionsAfter(state.sessions, note),
    feed,
  };
}

function chargersAfter(chargers: State["chargers"], note: Notification): State["chargers"] {
  if (!note.deviceId) return chargers;
  const before = chargers.get(note.deviceId) ?? unknownCharger(note);
  const after = chargerAfter(before, note);
  return after === before ? chargers : new Map(chargers).set(note.deviceId, after);
}

function chargerAfter(charger: Charger, { type, data, timestamp }: Notification): Charger {
  switch (type) {
    case "charger.connected":
      return { ...charger, connected: true, ocppVersion: text(data.ocppVersion, charger.ocppVersion), lastSeenAt: timestamp };
    case "charger.disconnected":
      return { ...charger, connected: false };
    case "charger.booted":
      return {
        ...charger,
        vendor: text(data.vendor, charger.vendor),
        model: text(data.model, charger.model),
        firmwareVersion: text(data.firmwareVersion, charger.firmwareVersion),
      };
    case "charger.status.changed":
      return { ...charger, connectors: connectorsAfter(charger.connectors, data) };
    default:
      return charger;
  }
}

function connectorsAfter(connectors: Connector[], data: Notification["data"]): Connector[] {
  const changed: Connector = {
    evseId: number(data.evseId, 0),
    connectorId: number(data.connectorId, 0),
    status: text(data.status, ""),
    errorCode: text(data.errorCode, ""),
    info: text(data.info, ""),
  };
  const others = connectors.filter((one) => one.evseId !== changed.evseId || one.connectorId !== changed.connectorId);
  return [...others, changed].sort((a, b) => a.evseId - b.evseId || a.connectorId - b.connectorId);
}

function unknownCharger(note: Notification): Charger {
  return {
    id: note.chargerId,
    deviceId: note.deviceId,
    vendor: "",
    model: "",
    firmwareVersion: "",
    ocppVersion: "",
    connected: true,
    lastSeenAt: note.timestamp,
    connectors: [],
  };
}

function sessionsAfter(sessions: State["sessions"], note: Notification): State["sessions"] {
  const id = note.data.sessionId;
  if (typeof id !== "number") return sessions;
  const before = sessions.get(id);
  switch (note.type) {
    case "charging.stopped": {
      if (!before) return sessions;
      const rest = new Map(sessions);
      rest.delete(id);
      return rest;
    }
    case "charging.started":
      return new Map(sessions).set(id, refreshed(before ?? begun(id, note), note));
    case "charging.updated":
    case "meter.values.updated":
      return before ? new Map(sessions).set(id, refreshed(before, note)) : sessions;
    default:
      return sessions;
  }
}

function begun(id: number, { chargerId, deviceId, data, timestamp }: Notification): Session {
  return {
    id,
    chargerId,
    deviceId,
    transactionId: text(data.transactionId, ""),
    evseId: number(data.evseId, 0),
    connectorId: number(data.connectorId, 0),
    idToken: text(data.idToken, ""),
    state: "active",
    startedAt: text(data.startedAt, timestamp),
    energyWh: 0,
    powerW: null,
    socPercent: null,
  };
}

function refreshed(session: Session, { data }: Notification): Session {
  return {
    ...session,
    energyWh: number(data.energyWh, session.energyWh),
    powerW: number(data.powerW, session.powerW),
    socPercent: number(data.socPercent, session.socPercent),
  };
}
