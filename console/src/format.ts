// Numbers, times and names as a person reads them.

import type { Connector } from "./api";

type Place = Pick<Connector, "evseId" | "connectorId">;

export const energy = (wh: number): string => (wh < 1000 ? `${Math.round(wh)} Wh` : `${(wh / 1000).toFixed(2)} kWh`);

export const power = (w: number | null): string => (w === null ? "–" : w < 1000 ? `${Math.round(w)} W` : `${(w / 1000).toFixed(1)} kW`);

export function duration(fromIso: string, nowMs: number): string {
  const seconds = Math.max(0, Math.floor((nowMs - Date.parse(fromIso)) / 1000));
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  return hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}

export const clock = (iso: string): string => new Date(iso).toLocaleTimeString();

/** What stands on the charger: the EVSE's number, and the connector's where an EVSE has several. */
export function nameAmong(all: readonly Place[], { evseId, connectorId }: Place): string {
  const alone = all.filter((one) => one.evseId === evseId).length < 2;
  return alone ? `${evseId}` : `${evseId}/${connectorId}`;
}
