import { Badge, Button, Callout, Card, Flex, Heading, Link, Text } from "@radix-ui/themes";
import { useMemo } from "react";

import { signOut } from "./api";
import { ChargerCard } from "./ChargerCard";
import type { Link as LinkStateName } from "./events";
import { Feed } from "./Feed";
import { energy, power } from "./format";
import { SessionTable } from "./SessionTable";
import type { State } from "./state";
import { useLive } from "./useLive";

export function App() {
  const { state, link, problem } = useLive();
  const sessions = useMemo(() => [...state.sessions.values()].sort((a, b) => b.id - a.id), [state.sessions]);
  const chargers = useMemo(
    () => [...state.chargers.values()].sort((a, b) => a.deviceId.localeCompare(b.deviceId, undefined, { numeric: true })),
    [state.chargers],
  );
  return (
    <main className="page">
      <Flex align="center" justify="between" mb="4" gap="3" wrap="wrap">
        <Flex align="center" gap="3">
          <img src="/icon.svg" alt="" width="32" height="32" />
          <Heading size="6">csms</Heading>
          <LinkState link={link} />
        </Flex>
        <Flex align="center" gap="4">
          <Link href="/api/docs" size="2" color="gray">
            HTTP interface
          </Link>
          <Button variant="soft" color="gray" onClick={() => void signOut()}>
            Sign out
          </Button>
        </Flex>
      </Flex>
      {problem !== null && (
        <Callout.Root color="red" mb="4" role="alert">
          <Callout.Text>{problem}</Callout.Text>
        </Callout.Root>
      )}
      <Totals state={state} />
      <div className="columns">
        <Flex direction="column" gap="5">
          <section aria-label="Running sessions">
            <Heading size="4" mb="3">
              Charging now
            </Heading>
            <SessionTable sessions={sessions} />
          </section>
          <section aria-label="Chargers">
            <Heading size="4" mb="3">
              Chargers
            </Heading>
            {chargers.length === 0 && (
              <Text color="gray">No charger yet. Point one at the address that csms printed when it started.</Text>
            )}
            <div className="chargers">
              {chargers.map((charger) => (
                <ChargerCard key={charger.deviceId} charger={charger} />
              ))}
            </div>
          </section>
        </Flex>
        <section aria-label="Events">
          <Heading size="4" mb="3">
            Events
          </Heading>
          <Feed notes={state.feed} />
        </section>
      </div>
    </main>
  );
}

const LINK_TEXT: Record<LinkStateName, string> = { live: "live", connecting: "connecting", offline: "no connection" };

function LinkState({ link }: { link: LinkStateName }) {
  return (
    <Badge size="2" color={link === "live" ? "jade" : "red"} data-testid="link">
      <span className={`dot dot-${link}`} />
      {LINK_TEXT[link]}
    </Badge>
  );
}

function Totals({ state }: { state: State }) {
  const sessions = [...state.sessions.values()];
  const chargers = [...state.chargers.values()];
  const watts = sessions.reduce((sum, one) => sum + (one.powerW ?? 0), 0);
  const wattHours = sessions.reduce((sum, one) => sum + one.energyWh, 0);
  const figures: [string, string][] = [
    ["connected", `${chargers.filter((one) => one.connected).length} of ${chargers.length}`],
    ["charging", String(sessions.length)],
    ["power now", power(watts)],
    ["in running sessions", energy(wattHours)],
  ];
  return (
    <Flex gap="3" mb="5" wrap="wrap">
      {figures.map(([name, value]) => (
        <Card key={name}>
          <Text as="div" size="1" color="gray">
            {name}
          </Text>
          <Text as="div" size="5" weight="bold" className="number">
            {value}
          </Text>
        </Card>
      ))}
    </Flex>
  );
}
