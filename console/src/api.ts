// What the server sends, and how it is asked. Shapes are those of /api/v1; times are ISO 8601 in UTC.

export interface Connector {
  evseId: number;
  connectorId: number;
  status: string;
  errorCode: string;
  info: string;
}

export interface Charger {
  id: number;
  deviceId: string;
  vendor: string;
  model: string;
  firmwareVersion: string;
  ocppVersion: string;
  connected: boolean;
  lastSeenAt: string | null;
  connectors: Connector[];
}

export interface Session {
  id: number;
  chargerId: number;
  deviceId: string;
  transactionId: string | null;
  evseId: number;
  connectorId: number;
  idToken: string;
  state: string;
  startedAt: string;
  energyWh: number;
  powerW: number | null;
  socPercent: number | null;
}

export interface Page<T> {
  items: T[];
  next: string | number | null;
}

/** The session cookie is missing or has ended: only a new sign-in link helps. */
export class SignedOut extends Error {}

async function get<T>(path: string): Promise<T> {
  const response = await fetch(path, { headers: { Accept: "application/json" } });
  if (response.status === 401) throw new SignedOut();
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return (await response.json()) as T;
}

async function all<T>(path: string, cursor: string): Promise<T[]> {
  const items: T[] = [];
  let next: string | number | null = "";
  while (next !== null) {
    const from: string = next === "" ? "" : `&${cursor}=${encodeURIComponent(String(next))}`;
    const page: Page<T> = await get<Page<T>>(`${path}${path.includes("?") ? "&" : "?"}limit=500${from}`);
    items.push(...page.items);
    next = page.next;
  }
  return items;
}

export const fetchChargers = (): Promise<Charger[]> => all<Charger>("/api/v1/chargers", "after");
export const fetchActiveSessions = (): Promise<Session[]> => all<Session>("/api/v1/sessions?active=true", "before");

export async function signOut(): Promise<void> {
  await fetch("/api/v1/sign-out", { method: "POST" });
  window.location.reload();
}
