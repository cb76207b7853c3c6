import { Flex, Text } from "@radix-ui/themes";

import { clock, energy } from "./format";
import type { Notification } from "./state";

const TITLES: Record<string, string> = {
  "charging.started": "Charging started",
  "charging.stopped": "Charging stopped",
  "charger.status.changed": "Status",
  "charger.connected": "Connected",
  "charger.disconnected": "Disconnected",
  "charger.booted": "Booted",
  "error.occurred": "Error",
  "security.event": "Security event",
  "firmware.status.changed": "Firmware",
  "diagnostics.status.changed": "Diagnostics",
  "report.received": "Report",
};

export function Feed({ notes }: { notes: readonly Notification[] }) {
  if (notes.length === 0) return <Text color="gray">No events since this page was opened.</Text>;
  return (
    <ul className="feed">
      {notes.map((note) => (
        <li key={note.id} data-testid="event">
          <Flex justify="between" gap="2">
            <Text size="2" weight="medium">
              {TITLES[note.type] ?? note.type}
            </Text>
            <Text size="1" color="gray" className="number">
              {clock(note.timestamp)}
            </Text>
          </Flex>
          <Text as="div" size="1" color="gray" truncate>
            {[note.deviceId, ...details(note)].join(" · ")}
          </Text>
        </li>
      ))}
    </ul>
  );
}

/** What is worth reading of a notification's own fields; charger-supplied strings are only ever text. */
function details({ type, data }: Notification): string[] {
  const parts: unknown[] = [];
  if (data.evseId) parts.push(`EVSE ${String(data.evseId)}`);
  if (type === "charger.status.changed") parts.push(data.status);
  if (type === "charging.stopped" && typeof data.energyWh === "number") parts.push(energy(data.energyWh), data.stopReason);
  if (type === "charging.started") parts.push(data.idToken);
  if (type === "charger.booted") parts.push(data.vendor, data.model, data.firmwareVersion);
  if (type === "error.occurred") parts.push(data.errorCode, data.info);
  if (type === "charger.disconnected") parts.push(data.reason);
  if (type.endsWith("status.changed") && type !== "charger.status.changed") parts.push(data.status);
  return parts.filter((part) => part !== undefined && part !== null && part !== "").map(String);
}
