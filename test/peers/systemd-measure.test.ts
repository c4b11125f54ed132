/** seal measure beside the real systemd-measure: the same sections, the same PCR 11. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { toHex } from "../../src/bytes.ts";
import { PCR_BANKS, predictPcr11 } from "../../src/pe/measure.ts";
import { describeWith, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";

// Version 257 takes .dtbauto and .hwids for each other; they are compared with ukify 262.
const NAMES = ["osrel", "cmdline", "initrd", "ucode", "splash", "dtb", "uname", "sbat", "pcrpkey", "profile"];
const PHASES = ["ready", "enter-initrd", "enter-initrd:leave-initrd", "shutdown:final"];

describeWith(["systemd-measure"], "predictions", () => {
  it("are those of systemd-measure for any sections, banks and phases", () => {
    const directory = tempDir();
    const content = fc.uint8Array({ maxLength: 5000 });
    const sections = fc.dictionary(fc.constantFrom(...NAMES), content);
    const some = <T>(values: readonly T[]) => fc.array(fc.constantFrom(...values), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 9000 }),
        sections,
        some(PCR_BANKS),
        some(PHASES),
        (linux, others, banks, phases) => {
          const all = Object.entries({ ...others, linux });
          for (const [name, bytes] of all) writeFileSync(join(directory, name), bytes);
          const peer = runPeer("systemd-measure", [
            "calculate",
            ...all.map(([name]) => `--${name}=${join(directory, name)}`),
            ...banks.map((bank) => `--bank=${bank}`),
            ...phases.map((phase) => `--phase=${phase}`),
          ]);
          expect(peer.status, peer.stderr).toBe(0);
          const ours = predictPcr11(
            all.map(([name, bytes]) => ({ name: `.${name}`, content: [bytes] })),
            banks,
            phases,
          );
          expect(ours.map(({ bank, value }) => `11:${bank}=${toHex(value)}\n`).join("")).toBe(String(peer.stdout));
        },
      ),
      { numRuns: 40 },
    );
  });
});
