import { Table, Text } from "@radix-ui/themes";
import { useEffect, useState } from "react";

import type { Session } from "./api";
import { duration, energy, power } from "./format";

export function SessionTable({ sessions }: { sessions: Session[] }) {
  const now = useNow();
  if (sessions.length === 0) return <Text color="gray">Nobody is charging.</Text>;
  return (
    <Table.Root variant="surface" size="1">
      <Table.Header>
        <Table.Row>
          <Table.ColumnHeaderCell>Charger</Table.ColumnHeaderCell>
          <Table.ColumnHeaderCell>Power</Table.ColumnHeaderCell>
          <Table.ColumnHeaderCell>Energy</Table.ColumnHeaderCell>
          <Table.ColumnHeaderCell>For</Table.ColumnHeaderCell>
          <Table.ColumnHeaderCell>Token</Table.ColumnHeaderCell>
        </Table.Row>
      </Table.Header>
      <Table.Body>
        {sessions.map((session) => (
          <Table.Row key={session.id} data-testid="session">
            <Table.RowHeaderCell>
              {session.deviceId} <Text color="gray">#{session.evseId}</Text>
            </Table.RowHeaderCell>
            <Table.Cell className="number">{power(session.powerW)}</Table.Cell>
            <Table.Cell className="number">
              {energy(session.energyWh)}
              {session.socPercent !== null && <Text color="gray"> {Math.round(session.socPercent)} %</Text>}
            </Table.Cell>
            <Table.Cell className="number">{duration(session.startedAt, now)}</Table.Cell>
            <Table.Cell>{session.idToken || "–"}</Table.Cell>
          </Table.Row>
        ))}
      </Table.Body>
    </Table.Root>
  );
}

function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}
