/** seal measure beside the real systemd-measure: the same sections, the same PCR 11, the same signed policies. */
import { createPrivateKey, createPublicKey, verify } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { predictPcr11 } from "../../src/pe/measure.ts";
import { PCR_BANKS, type PcrBank } from "../../src/pe/pcr-events.ts";
import { type PolicySignatures, pcrsigText, policyEntries } from "../../src/pe/pcr-policy.ts";
import { openPolicyKey } from "../../src/sign/policy-key.ts";
import { seal } from "../support/cli.ts";
import { describeWith, type Peer, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

const NAMES = ["osrel", "cmdline", "initrd", "ucode", "splash", "dtb", "uname", "sbat", "pcrpkey", "profile"];
const PHASES = ["ready", "enter-initrd", "enter-initrd:leave-initrd", "shutdown:final"];
/** Version 257 takes .dtbauto and .hwids for each other. */
const VERSIONS = [
  ["systemd-measure", NAMES],
  ["systemd-measure-262", [...NAMES, "dtbauto", "hwids"]],
] as const;

const some = <T>(values: readonly T[]) => fc.array(fc.constantFrom(...values), { minLength: 1, maxLength: 4 });
const image = (names: readonly string[]) =>
  fc
    .tuple(
      fc.uint8Array({ minLength: 1, maxLength: 9000 }),
      fc.dictionary(fc.constantFrom(...names), fc.uint8Array({ maxLength: 5000 })),
    )
    .map(([linux, others]) => Object.entries({ ...others, linux }));

/** Runs it over sections that it finds in files. */
function run(
  peer: Peer,
  directory: string,
  sections: readonly (readonly [string, Uint8Array])[],
  banks: readonly PcrBank[],
  phases: readonly string[],
  ...args: readonly string[]
): string {
  for (const [name, bytes] of sections) writeFileSync(join(directory, name), bytes);
  const result = runPeer(peer, [
    ...args,
    ...sections.map(([name]) => `--${name}=${join(directory, name)}`),
    ...banks.map((bank) => `--bank=${bank}`),
    ...phases.map((phase) => `--phase=${phase}`),
  ]);
  expect(result.status, result.stderr).toBe(0);
  return String(result.stdout);
}

function predict(
  sections: readonly (readonly [string, Uint8Array])[],
  banks: readonly PcrBank[],
  phases: readonly string[],
) {
  const measured = sections.map(([name, bytes]) => ({ name: `.${name}`, content: [bytes] }));
  return predictPcr11(measured, banks, phases);
}

describeWith(["systemd-measure", "systemd-measure-262"], "predictions", () => {
  it.each(VERSIONS)("are those of %s for any sections, banks and phases", (peer, names) => {
    const directory = tempDir();
    fc.assert(
      fc.property(image(names), some(PCR_BANKS), some(PHASES), (sections, banks, phases) => {
        const theirs = run(peer, directory, sections, banks, phases, "calculate");
        const ours = predict(sections, banks, phases);
        expect(ours.map(({ bank, value }) => `11:${bank}=${toHex(value)}\n`).join("")).toBe(theirs);
      }),
      { numRuns: 25 },
    );
  });
});

describeWith(["systemd-measure", "systemd-measure-262"], "signed policies", () => {
  const key = { bytes: vector("uki/inputs/pcr.key"), subject: "pcr.key" };

  it("are those of systemd-measure 262, byte by byte, with a reference and without", async () => {
    const directory = tempDir();
    writeFileSync(join(directory, "key"), key.bytes);
    const policyKey = await openPolicyKey(key, null, null);
    const [, [peer, names]] = VERSIONS;
    await fc.assert(
      fc.asyncProperty(
        image(names),
        some(PCR_BANKS),
        some(PHASES),
        fc.constantFrom("", "initrd", "ä b"),
        async (sections, banks, phases, reference) => {
          const args = ["sign", `--private-key=${join(directory, "key")}`];
          const theirs = run(
            peer,
            directory,
            sections,
            banks,
            phases,
            ...args,
            ...(reference === "" ? [] : [`--policyref=${reference}`]),
          );
          const ours = await policyEntries(predict(sections, banks, phases), policyKey, reference);
          expect(`${JSON.stringify(JSON.parse(pcrsigText(ours)))}\n`).toBe(theirs);
        },
      ),
      { numRuns: 12 },
    );
  });

  it("are those of systemd-measure 257, which signs with the hash of the bank", async () => {
    const directory = tempDir();
    writeFileSync(join(directory, "key"), key.bytes);
    const policyKey = await openPolicyKey(key, null, null);
    const publicKey = createPublicKey(createPrivateKey(key.bytes));
    const [[peer, names]] = VERSIONS;
    await fc.assert(
      fc.asyncProperty(image(names), some(PHASES), async (sections, phases) => {
        const text = run(
          peer,
          directory,
          sections,
          PCR_BANKS,
          phases,
          "sign",
          `--private-key=${join(directory, "key")}`,
        );
        const theirs = JSON.parse(text) as PolicySignatures;
        const ours = await policyEntries(predict(sections, PCR_BANKS, phases), policyKey, "");
        expect(theirs["sha256"]).toEqual(ours["sha256"]);
        for (const [bank, entries] of Object.entries(theirs)) {
          const unsigned = (list: PolicySignatures[string] = []) => list.map(({ sig: _, ...rest }) => rest);
          expect(unsigned(entries)).toEqual(unsigned(ours[bank]));
          for (const { pol, sig = "" } of entries)
            expect(verify(bank, Buffer.from(pol, "hex"), publicKey, Buffer.from(sig, "base64"))).toBe(true);
        }
      }),
      { numRuns: 8 },
    );
  });

  it.each(["systemd-measure", "systemd-measure-262"] as const)(
    "of a finished UKI are those that %s makes of its sections",
    async (peer) => {
      const directory = tempDir();
      for (const name of ["kernel", "stub-plain", "initrd-1", "pcr.key", "pcr.pub"])
        writeFileSync(join(directory, name), vector(`uki/inputs/${name}`));
      const inputs = [
        "--linux",
        "kernel",
        "--initrd",
        "initrd-1",
        "--cmdline",
        "a b",
        "--os-release",
        "ID=x",
        "--stub",
        "stub-plain",
      ];
      const policy = ["--pcr-private-key", "pcr.key", "--pcr-banks", "sha256"];
      const { code, stderr } = await seal(["build-uki", ...inputs, ...policy, "--output", "uki.efi"], {
        cwd: directory,
      });
      expect(code, stderr).toBe(0);
      const section = async (name: string) =>
        (await seal(["inspect", "uki.efi", "--section", `.${name}`], { cwd: directory })).stdoutBytes;
      const present = ["linux", "osrel", "cmdline", "initrd", "uname", "sbat", "pcrpkey"];
      const sections = await Promise.all(present.map(async (name) => [name, await section(name)] as const));
      const theirs = run(
        peer,
        directory,
        sections,
        ["sha256"],
        [],
        "sign",
        `--private-key=${join(directory, "pcr.key")}`,
      );
      expect(JSON.parse(String(await section("pcrsig")))).toEqual(JSON.parse(theirs));
    },
  );
});
