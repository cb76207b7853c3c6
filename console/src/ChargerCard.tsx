import { Badge, type BadgeProps, Card, Flex, Text } from "@radix-ui/themes";
import { memo } from "react";

import type { Charger, Connector } from "./api";
import { nameAmong } from "./format";

/** Statuses of 1.6 and 2.x by what they mean to an operator. */
const COLOURS: Record<string, BadgeProps["color"]> = {
  Available: "jade",
  Preparing: "blue",
  Occupied: "blue",
  Charging: "violet",
  SuspendedEV: "amber",
  SuspendedEVSE: "amber",
  Finishing: "cyan",
  Reserved: "indigo",
  Unavailable: "gray",
  Faulted: "red",
};

export const ChargerCard = memo(function ChargerCard({ charger }: { charger: Charger }) {
  const connectors = charger.connectors.filter((one) => one.evseId > 0);
  return (
    <Card className={charger.connected ? undefined : "offline"} data-testid="charger">
      <Flex justify="between" align="center" gap="2">
        <Text weight="bold" truncate title={charger.deviceId}>
          {charger.deviceId}
        </Text>
        <Badge color={charger.connected ? "jade" : "gray"}>{charger.connected ? "online" : "offline"}</Badge>
      </Flex>
      <Text as="div" size="1" color="gray" truncate>
        {[charger.vendor, charger.model, charger.ocppVersion && `OCPP ${charger.ocppVersion}`].filter(Boolean).join(" · ") ||
          "not booted yet"}
      </Text>
      <Flex gap="2" mt="2" wrap="wrap">
        {connectors.map((one) => (
          <ConnectorBadge key={`${one.evseId}/${one.connectorId}`} name={nameAmong(connectors, one)} connector={one} />
        ))}
      </Flex>
    </Card>
  );
});

function ConnectorBadge({ name, connector }: { name: string; connector: Connector }) {
  const { status, errorCode, info } = connector;
  const fault = errorCode && errorCode !== "NoError" ? `${errorCode} ${info}`.trim() : undefined;
  return (
    <Badge variant="soft" color={COLOURS[status] ?? "gray"} title={fault}>
      {name}: {status || "unknown"}
    </Badge>
  );
}
