/** A machine that was booted, before the verifiers that get seal's reference values for what it booted. */
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type Booted, type BootLab, printedEventLog, printedPcrs } from "./boot-lab.ts";
import { keylimeFailures } from "./keylime.ts";
import { loggedVariables, MACHINE_NEEDS, PCRLOCKS, SYSTEMD_COMPONENTS, startMachine } from "./pcrlock.ts";

export const VERIFIER_NEEDS = [...MACHINE_NEEDS, "keylime-python"] as const;

/**
 * Holds the formats against what a machine measured: systemd-pcrlock makes the same components of it and predicts its
 * registers, Keylime accepts its log, and the values for the others are the registers'.
 * @param keys options that say what the firmware knows
 */
export async function expectVerified(
  lab: BootLab,
  booted: Booted,
  directory: string,
  keys: readonly string[],
): Promise<void> {
  const own = mkdtempSync(join(lab.cwd, "verifiers-"));
  const log = printedEventLog(booted);
  const [code, policy, uki, parameters] = printedPcrs(booted);
  const write = async (format: string, output: string, ...more: readonly string[]) => {
    const args = [directory, "--reference", ...keys, ...more, "--format", format, "--output", join(own, output)];
    await lab.run("measure", ...args);
  };

  await write("pcrlock", "components");
  const machine = await startMachine(join(own, "machine"), loggedVariables(log), log);
  try {
    for (const pcrlock of PCRLOCKS) {
      const lock = (...args: readonly string[]) => {
        const { status, stdout, stderr } = machine.run(pcrlock, ...args);
        expect(status, stderr).toBe(0);
        return String(stdout);
      };
      const component = (name: string) =>
        readFileSync(join(own, `components/${name}.pcrlock.d/generated.pcrlock`), "utf8");
      expect(component("240-secureboot-policy")).toBe(lock("lock-secureboot-policy", "--pcrlock=-"));
      if (readdirSync(join(own, "components")).includes("620-secureboot-authority.pcrlock.d")) {
        expect(component("620-secureboot-authority")).toBe(lock("lock-secureboot-authority", "--pcrlock=-"));
      }
      const all = [`--components=${join(own, "components")}`, `--components=${SYSTEMD_COMPONENTS}`];
      const options = ["--pcr=4+7+11", "--location=740-:740-", "--json=short"];
      // Separators have variants; a single way to boot has none.
      expect(JSON.parse(lock("predict", ...all, ...options)).sha256).toEqual([
        { pcr: 4, values: expect.arrayContaining([code]) },
        { pcr: 7, values: expect.arrayContaining([policy]) },
        { pcr: 11, values: [uki] },
      ]);
    }
  } finally {
    machine.stop();
  }

  const given = ["--kernel-arguments", "console=ttyS0 loglevel=6"];
  await write("keylime", "state.json", ...given);
  expect(keylimeFailures(join(own, "keylime"), join(own, "state.json"), log)).toEqual([]);
  await write("keylime", "other.json");
  const [failure] = keylimeFailures(join(own, "keylime"), join(own, "other.json"), log);
  expect(failure).toMatch(/differs from EFI\/\S+ in PCR 12/);

  await write("trustee", "message.json", ...given);
  const { payload } = JSON.parse(readFileSync(join(own, "message.json"), "utf8"));
  expect(JSON.parse(Buffer.from(payload, "base64").toString())).toMatchObject({
    tpm_pcr04: [code],
    tpm_pcr07: [policy],
    tpm_pcr12: [parameters],
  });
}
