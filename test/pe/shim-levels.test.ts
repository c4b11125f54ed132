/** The revocation levels in shim. */
import { describe, expect, it } from "vitest";
import { parsePe } from "../../src/pe/headers.ts";
import { shimLevels } from "../../src/pe/shim-levels.ts";
import { makePe } from "../support/pe.ts";
import { shimProgram } from "../support/shim.ts";

/** `.sbatlevel` of Debian's shim 16.1 for x86-64. */
const DEBIAN = Buffer.from(
  [
    "00000000080000002900000073626174 2c312c323032353032313830300a7368 696d2c340a677275622c350a00736261 742c312c323032353035313030300a73",
    "68696d2c340a677275622c350a677275 622e70726f786d6f782c320a00",
  ]
    .join("")
    .replaceAll(" ", ""),
  "hex",
);

const withLevels = (content: Uint8Array) => parsePe([shimProgram(content)], "shim");
const changed = (change: (bytes: Buffer) => void) => {
  const copy = Buffer.from(DEBIAN);
  change(copy);
  return withLevels(copy);
};

describe("shimLevels", () => {
  it("reads both levels, as Debian's shim has them", () => {
    expect(shimLevels(withLevels(DEBIAN))).toEqual({
      automatic: "sbat,1,2025021800\nshim,4\ngrub,5\n",
      latest: "sbat,1,2025051000\nshim,4\ngrub,5\ngrub.proxmox,2\n",
    });
  });

  it("finds none in another program", () => {
    const other = makePe({ sections: [{ name: ".text", content: "code", address: 0x1000 }] });
    expect(shimLevels(parsePe([other], "x"))).toBeNull();
  });

  it.each<[string, (bytes: Buffer) => void, RegExp]>([
    ["another format", (bytes) => bytes.writeUInt32LE(1, 0), /^shim \(\.sbatlevel\): has the unknown format 1$/],
    ["an offset behind the section", (bytes) => bytes.writeUInt32LE(0xffff, 4), /its automatic level does not end/],
    ["the largest offset", (bytes) => bytes.writeUInt32LE(0xffffffff, 8), /its latest level does not end/],
    ["text without end", (bytes) => bytes.fill(0x41, 12), /its automatic level does not end/],
    ["text that is not valid UTF-8", (bytes) => bytes.writeUInt8(0xff, 12), /is not valid UTF-8/],
  ])("refuses %s", (_, change, message) => {
    expect(() => shimLevels(changed(change))).toThrow(message);
  });

  it("refuses a section that is cut off", () => {
    for (const length of [0, 3, 4, 11, 12, 20]) {
      const run = () => shimLevels(withLevels(DEBIAN.subarray(0, length)));
      if (length === 0) expect(run).toThrow(/shim \(\.sbatlevel\)/);
      else expect(run).toThrow(/shim \(\.sbatlevel\): /);
    }
  });
});
