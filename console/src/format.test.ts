import { describe, expect, it } from "vitest";

import { duration, energy, nameAmong, power } from "./format";

describe("the name of a connector", () => {
  const two = { evseId: 2, connectorId: 1 };

  it("is its EVSE's number where that has no other", () => {
    expect(nameAmong([{ evseId: 1, connectorId: 1 }, two], two)).toBe("2");
  });

  it("is its own, too, where the EVSE has several", () => {
    expect(nameAmong([two, { evseId: 2, connectorId: 2 }], two)).toBe("2/1");
  });
});

describe("numbers", () => {
  it("have the unit that keeps them short", () => {
    expect([energy(999), energy(1500), power(null), power(980), power(7400)]).toEqual([
      "999 Wh",
      "1.50 kWh",
      "–",
      "980 W",
      "7.4 kW",
    ]);
  });

  it("tell a duration that never runs backwards", () => {
    const at = (seconds: number): string => duration("2030-01-01T00:00:00Z", Date.parse("2030-01-01T00:00:00Z") + seconds * 1000);
    expect([at(-5), at(59), at(61), at(3660)]).toEqual(["0 s", "59 s", "1 min 1 s", "1 h 1 min"]);
  });
});
