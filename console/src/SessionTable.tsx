import { Text } from "@radix-ui/themes";
import { useEffect, useState } from "react";

import type { Session } from "./api";
import { duration, energy, power } from "./format";

// A plain table: the library's brings a scroll area with an inline style, which the page's policy refuses.
export function SessionTable({ sessions }: { sessions: Session[] }) {
  const now = useNow();
  if (sessions.length === 0) return <Text color="gray">Nobody is charging.</Text>;
  return (
    <table className="table">
      <thead>
        <tr>
          <th>Charger</th>
          <th>Power</th>
          <th>Energy</th>
          <th>For</th>
          <th>Token</th>
        </tr>
      </thead>
      <tbody>
        {sessions.map((session) => (
          <tr key={session.id} data-testid="session">
            <td>
              {session.deviceId} <Text color="gray">#{session.evseId}</Text>
            </td>
            <td className="number">{power(session.powerW)}</td>
            <td className="number">
              {energy(session.energyWh)}
              {session.socPercent !== null && <Text color="gray"> {Math.round(session.socPercent)} %</Text>}
            </td>
            <td className="number">{duration(session.startedAt, now)}</td>
            <td>{session.idToken || "–"}</td>
          </tr>
        ))}
      </tbody>
    </table>
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
