import { describe, expect, it } from "vitest";
import { type ImageDigest, matchDemand } from "../../src/boot/uki-demand.ts";
import { utf8 } from "../../src/bytes.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { assembleUki } from "../../src/pe/uki.ts";
import { vector } from "../support/vectors.ts";

const A = "a".repeat(128);
const B = "b".repeat(128);
const SHORT = "c".repeat(64);
const HAVE: readonly ImageDigest[] = [
  { erofs: "v1", algorithm: "sha512", digest: A },
  { erofs: "v2", algorithm: "sha512", digest: B },
  { erofs: "v1", algorithm: "sha256", digest: SHORT },
];

/** A UKI with these command lines, one for each profile. */
function uki(...cmdlines: string[]) {
  const sections = cmdlines.flatMap((cmdline, index) => [
    ...(index === 0 ? [] : [{ name: ".profile", content: [utf8(`ID=${index}`)] }]),
    { name: ".cmdline", content: [utf8(cmdline)] },
  ]);
  return parsePe(assembleUki(parsePe([vector("uki/inputs/stub-plain")], "stub"), sections), "signed.efi");
}

const found = (...cmdlines: string[]) => matchDemand(uki(...cmdlines), HAVE, "oci:os").map(({ digest }) => digest);

describe("matchDemand", () => {
  it.each([
    [[`rw composefs=${A}`], [A]],
    [[`composefs=?${SHORT}`], [SHORT]],
    [[`composefs.digest=v1-sha512-12:${A} composefs=${B}`], [A, B]],
    [
      [`composefs=${A}`, `composefs=${A} debug`, `composefs=${B}`],
      [A, B],
    ],
  ])("finds what %s demands", (cmdlines, digests) => {
    expect(found(...cmdlines)).toEqual(digests);
  });

  it.each([
    [
      [`composefs=${"d".repeat(128)}`],
      "demands the root filesystem dddddddd…dddd, but oci:os has aaaaaaaa…aaaa (v1 sha512)",
    ],
    [
      [`composefs=${A} composefs=${"d".repeat(64)}`],
      "demands the root filesystem dddddddd…dddd, but oci:os has cccccccc…cccc",
    ],
    [[`composefs.digest=v2-sha512-12:${A}`], "demands the root filesystem aaaaaaaa…aaaa"],
    [["root=/dev/sda"], "has a command line without a composefs digest"],
    [[`composefs=${A}`, "debug"], "has a command line without a composefs digest"],
    [[], "has a command line without a composefs digest"],
    [["composefs=abc"], "has composefs=abc on its command line"],
  ])("refuses %s", (cmdlines, message) => {
    expect(() => found(...cmdlines)).toThrow(`signed.efi: ${message}`);
  });
});
