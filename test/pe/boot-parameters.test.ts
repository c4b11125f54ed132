/** PCR 12, computed a second time here with nothing but hashes; the machines that were measured so are in test/e2e. */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { toHex, utf8 } from "../../src/bytes.ts";
import { type BootParameters, parameterEvents } from "../../src/pe/boot-parameters.ts";
import { type PeImage, parsePe } from "../../src/pe/headers.ts";
import { assembleUki } from "../../src/pe/uki.ts";
import { vector } from "../support/vectors.ts";

function program(subject: string, sections: Record<string, string | Uint8Array>): PeImage {
  const stub = parsePe([Buffer.from(vector("uki/inputs/stub-plain"))], "stub");
  const list = Object.entries(sections).map(([name, content]) => ({
    name: `.${name}`,
    content: [typeof content === "string" ? utf8(content) : content],
  }));
  return parsePe(assembleUki(stub, list), subject);
}

const ofSystemd = (subject: string, text: string) => program(subject, { sdmagic: `#### LoaderInfo: ${text} ####` });
const LOADER = ofSystemd("loader.efi", "systemd-boot 257.13-1~deb13u1");
const BASE: BootParameters = {
  bootLoader: LOADER,
  uki: ofSystemd("uki.efi", "systemd-stub 258~rc1"),
  profile: 0,
  addons: [],
  sidecars: [],
  kernelArguments: "",
};

/** Of SHA-256, each with its type. */
function digests(change: Partial<BootParameters>): string[] {
  const result = parameterEvents({ ...BASE, ...change }, ["sha256"]);
  if ("unknown" in result) throw new Error(result.unknown);
  return result.events.map((event) => `${event.type} ${toHex(event.digests.sha256 ?? new Uint8Array())}`);
}

const hash = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");
const text = (value: string) => `EV_IPL ${hash(Buffer.from(`${value}\0`, "utf16le"))}`;
const content = (value: string) => `EV_EVENT_TAG ${hash(value)}`;

describe("what comes to a UKI from outside", () => {
  it("is nothing in most boots", () => {
    expect(digests({})).toEqual([]);
    expect(digests({ addons: [program("a", { cmdline: " \n" })], kernelArguments: "\t" })).toEqual([]);
  });

  it("is one command line of all addons, then that of the machine", () => {
    const addons = ["\t a=1\n b \0junk", "", " ", "ü=2\x7f\u{1f600}x "].map((cmdline) => program("a", { cmdline }));
    expect(digests({ addons, kernelArguments: " quiet\n" })).toEqual([text("a=1  b  ü=2 x"), text("quiet")]);
  });

  it("is each device tree, then microcode from the last to the first, then each initramfs", () => {
    const addons = [
      program("a", { dtb: "tree 1", ucode: "code 1", initrd: "files 1", cmdline: "x" }),
      program("b", { dtb: "tree 2", ucode: "code 2", initrd: "files 2" }),
    ];
    expect(digests({ addons })).toEqual([
      text("x"),
      ...["tree 1", "tree 2", "code 2", "code 1", "files 1", "files 2"].map(content),
    ]);
  });

  it("is the profile that the boot loader chooses, which the stub notes too", () => {
    const noted = `EV_EVENT_TAG ${hash(Buffer.from("2\0", "utf16le"))}`;
    expect(digests({ profile: 2 })).toEqual([text("@2"), noted]);
    expect(digests({ profile: 2, bootLoader: null })).toEqual([noted]);
  });

  it.each<[string, Partial<BootParameters>, RegExp]>([
    [
      "an old stub",
      { uki: ofSystemd("uki.efi", "systemd-stub 256.4") },
      /^uki\.efi has no systemd-stub of version 257/,
    ],
    ["another stub", { uki: ofSystemd("uki.efi", "somebody-s 300") }, /^uki\.efi has no systemd-stub/],
    ["an old boot loader", { bootLoader: ofSystemd("l.efi", "systemd-boot 256") }, /^l\.efi is not a systemd-boot of/],
    ["another boot loader", { bootLoader: BASE.uki }, /^uki\.efi is not a systemd-boot/],
    [
      "credentials",
      { sidecars: ["loader/credentials/x.cred"] },
      /^loader\/credentials\/x\.cred is measured as part of an archive/,
    ],
    ["a choice of device trees", { addons: [program("a.efi", { dtbauto: "x" })] }, /device tree of a\.efi .* depends/],
    [
      "bytes",
      { addons: [program("a.efi", { cmdline: Uint8Array.of(0xff) })] },
      /command line of a\.efi is not valid UTF-8/,
    ],
  ])("can't be known with %s", (_, change, reason) => {
    expect(parameterEvents({ ...BASE, ...change }, ["sha256"])).toEqual({ unknown: expect.stringMatching(reason) });
  });
});
