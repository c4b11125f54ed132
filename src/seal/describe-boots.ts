/** What machines measure that boot an image: the part of its attestation about PCRs. */
import type { StatedBoot } from "../attest/sealed-image.ts";
import { displayBytes, toHex } from "../bytes.ts";
import { inputError } from "../errors.ts";
import type { ReadProgram } from "../lint/boot-programs.ts";
import { nodeAt } from "../lint/files.ts";
import { imagePass } from "../lint/same-program.ts";
import { sha256Hex } from "../pe/digest.ts";
import type { PeImage } from "../pe/headers.ts";
import { ImagePass } from "../pe/image-pass.ts";
import { DEFAULT_PHASE_PATHS } from "../pe/measure.ts";
import type { BankValues, PcrBank } from "../pe/pcr-events.ts";
import type { BootChain, WayReference } from "../sign/boot-reference.ts";
import { readPolicy, type SecureBootPolicy } from "../sign/secure-boot-policy.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { type BootFiles, bootChains } from "./boot-path.ts";
import { bootReferences } from "./boot-reference.ts";
import type { Ports } from "./ports.ts";

/** Where the programs lie that machines start. */
const BOOT = "boot/";

/** What the predictions are made for. */
export interface BootChoices {
  /** The keys of the firmware; null: not known, and PCR 4 and 7 are left out. */
  readonly policy: SecureBootPolicy | null;
  /** Of the reference values; without: SHA-256. */
  readonly banks?: readonly PcrBank[] | undefined;
  /** Phase paths of PCR 11; without, the default ones. */
  readonly phases?: readonly string[] | undefined;
  readonly now: Date;
}

/** Why something is not stated. */
const NO_KEYS = "no keys of the firmware were given";

/** What each way to boot an image measures. */
export async function describeBoots(
  files: BootFiles,
  programs: readonly ReadProgram[],
  { policy, banks = ["sha256"], phases = DEFAULT_PHASE_PATHS, now }: BootChoices,
  ports: Ports,
): Promise<StatedBoot[]> {
  const chains = withInstalled(await bootChains(files), programs);
  const { references, refusals } = bootReferences(chains, {
    policy: policy ?? readPolicy([], "firmware"),
    banks,
    phases,
    kernelArguments: "",
    now,
  });
  for (const reason of refusals) ports.warn(reason);
  return references.map((reference) => describeBoot(reference, policy !== null));
}

/** A machine that bootc installs has the systemd-boot of /usr; where that is another one, each way to boot is there with it too. */
function withInstalled(chains: readonly BootChain[], programs: readonly ReadProgram[]): BootChain[] {
  return chains.flatMap((chain) => {
    const { bootLoader } = chain;
    if (bootLoader === null) return [chain];
    const own = sha256Hex(bootLoader.pe.file);
    const others = programs.filter(
      ({ path, pe }) => !path.startsWith(BOOT) && pe.machine === bootLoader.pe.machine && sha256Hex(pe.file) !== own,
    );
    return [chain, ...others.map(({ pe }) => ({ ...chain, bootLoader: imagePass(pe) }))];
  });
}

/** The `/boot` of an image, as firmware sees it: paths begin there. */
export function bootFiles(rootfs: Rootfs, programs: readonly ReadProgram[]): BootFiles {
  const files = new Map<string, PeImage>(programs.map(({ path, pe }) => [path, pe]));
  return {
    label: rootfs.label,
    list: async (directory) => {
      const node = nodeAt(rootfs, `${BOOT}${directory}`);
      return node?.kind === "directory" ? node.entries.map(({ name }) => displayBytes(name)) : null;
    },
    read: async (path) => {
      const pe = files.get(`${BOOT}${path}`);
      if (pe === undefined) throw inputError(rootfs.label, `boot/${path}: is no EFI program that can be read`);
      return new ImagePass({ ...pe, subject: path }, "verify");
    },
  };
}

function describeBoot(reference: WayReference, hasKeys: boolean): StatedBoot {
  const { chain, profile, profileId, devicetree, pcrs, unknown } = reference;
  return {
    uki: chain.uki.pe.subject,
    bootLoader: chain.bootLoader?.pe.subject ?? null,
    addons: chain.addons.map(({ pe }) => pe.subject),
    profile,
    profileId,
    devicetree,
    pcrs: pcrs
      .filter(({ pcr }) => hasKeys || pcr === 11 || pcr === 12)
      .map(({ pcr, values, events, phases, assumes }) => ({
        pcr,
        values: hexValues(values),
        events: events.map(({ type, description, digests }) => ({ type, description, digests: hexValues(digests) })),
        phases: phases.map(({ phase, values: after }) => ({ phase, values: hexValues(after) })),
        assumes: [...assumes],
      })),
    omitted: [
      ...(hasKeys ? [] : [4, 7].map((pcr) => ({ pcr, reason: NO_KEYS }))),
      ...(unknown === null ? [] : [{ pcr: 12, reason: unknown }]),
    ],
  };
}

function hexValues(values: BankValues): Partial<Record<PcrBank, string>> {
  return Object.fromEntries(Object.entries(values).map(([bank, value]) => [bank, toHex(value)]));
}
