/**
 * Reference values for remote attestation: what PCR 4, 7, 11 and 12 hold when firmware has started a UKI, and the
 * events that make them (TCG PC Client Platform Firmware Profile 1.05, 3.3.4.5 and 3.3.4.8; UAPI Linux TPM PCR
 * Registry). What is measured, and in which order, is what EDK II (Tcg2Dxe, DxeTpm2MeasureBootLib,
 * DxeImageVerificationLib) and systemd-stub do.
 */
import { SealError } from "../errors.ts";
import { parameterEvents } from "../pe/boot-parameters.ts";
import { type PeImage, parsePe } from "../pe/headers.ts";
import { systemdVersion } from "../pe/loader-info.ts";
import { firmwareAssumptions, type MeasuredSet, phaseDigests, stubEvents } from "../pe/measure.ts";
import {
  actionEvent,
  type BankValues,
  inBanks,
  type Measured,
  type PcrBank,
  type PcrEvent,
  replayEvents,
  separatorEvent,
} from "../pe/pcr-events.ts";
import { PePass } from "../pe/pe-pass.ts";
import { type Authority, decideStart } from "./authority.ts";
import { policyEvents, type SecureBootPolicy } from "./secure-boot-policy.ts";

/** What firmware starts, in this order. */
export interface BootPath {
  /** Null: firmware starts the UKI itself. */
  readonly bootLoader: PePass | null;
  readonly uki: PePass;
  /** Those that the stub loads, in its order. */
  readonly addons: readonly PePass[];
  /** Those of them that it takes something from. */
  readonly taken: readonly PeImage[];
  /**
   * Files next to the UKI that the stub packs into archives and measures into PCR 12: credentials,
   * configuration extensions.
   */
  readonly sidecars: readonly string[];
}

/** How reference values of PCRs are computed. */
export interface ReferenceOptions {
  readonly policy: SecureBootPolicy;
  readonly banks: readonly PcrBank[];
  /** Phase paths that PCR 11 is computed for. */
  readonly phases: readonly string[];
  /** What the machine adds to the command line (SMBIOS type 11); empty: nothing. */
  readonly kernelArguments: string;
  readonly now: Date;
}

/** A PCR that can be known before. */
export interface PcrReference {
  readonly pcr: 4 | 7 | 11 | 12;
  /** When the kernel starts. */
  readonly values: BankValues;
  /** What extends it until then, in order. */
  readonly events: readonly PcrEvent[];
  /** What the booting system makes of it; only of PCR 11. */
  readonly phases: readonly { readonly phase: string; readonly values: BankValues }[];
  /** What must be so for that to hold, one sentence each. */
  readonly assumes: readonly string[];
}

/** The references of one way to boot. */
export interface BootReference {
  readonly pcrs: readonly PcrReference[];
  /** Why PCR 12 is not among them, in words; null: it is. */
  readonly unknown: string | null;
}

/** The references of one way to boot, and which it is. */
export interface WayReference extends BootReference {
  /** Without addons that firmware refuses. */
  readonly bootPath: BootPath;
  /** 0: the base. */
  readonly profile: number;
  readonly profileId: string | null;
  /** Which of several device trees the stub picks; null where there is none. */
  readonly devicetree: number | null;
}

/** A way to boot, its programs by the names that messages call them. */
export function describeWay({ bootPath, profile, profileId, devicetree }: Omit<WayReference, keyof BootReference>) {
  return {
    uki: bootPath.uki.pe.subject,
    /** Null: firmware starts the UKI itself. */
    bootLoader: bootPath.bootLoader?.pe.subject ?? null,
    addons: bootPath.addons.map(({ pe }) => pe.subject),
    profile,
    profileId,
    devicetree,
  };
}

/**
 * The references of one way to boot.
 * @param set what the stub measures of the UKI
 * @throws SealError `check` when firmware would not start one of the images, `input` when an image or
 *   a variable is corrupt
 */
export function bootReference(bootPath: BootPath, set: MeasuredSet, options: ReferenceOptions): BootReference {
  const { policy, banks, phases } = options;
  const kernel = measuredKernel(bootPath.uki.pe, set, policy.enforced);
  const code = [
    actionEvent("Calling EFI Application from Boot Option", banks),
    separatorEvent(banks),
    ...(bootPath.bootLoader === null ? [] : [imageEvent(bootPath.bootLoader, "boot loader", banks)]),
    imageEvent(bootPath.uki, "UKI", banks),
    ...bootPath.addons.map((addon) => imageEvent(addon, "addon", banks)),
    ...(kernel.image === null ? [] : [imageEvent(new PePass(kernel.image, "verify"), "kernel", banks)]),
  ];
  const authorities = policy.enforced ? imagesOf(bootPath).flatMap((image) => authoritiesOf(image, options)) : [];
  const stub = stubEvents(set.sections, banks);
  const values = (events: readonly Pick<PcrEvent, "digests">[]) => inBanks(banks, (bank) => replayEvents(events, bank));
  const security = policyEvents(policy, authorities, banks);
  const parameters = parameterEvents(
    {
      bootLoader: bootPath.bootLoader?.pe ?? null,
      uki: bootPath.uki.pe,
      profile: set.profile,
      addons: bootPath.taken,
      sidecars: bootPath.sidecars,
      kernelArguments: options.kernelArguments,
    },
    banks,
  );
  const pcrs: PcrReference[] = [
    { pcr: 4, values: values(code), events: code, phases: [], assumes: [...CODE_ASSUMPTIONS, ...kernel.assumes] },
    { pcr: 7, values: values(security), events: security, phases: [], assumes: POLICY_ASSUMPTIONS },
    {
      pcr: 11,
      values: values(stub),
      events: stub,
      phases: phases.map((phase) => ({ phase, values: values([...stub, ...phaseDigests(phase, banks)]) })),
      assumes: [...STUB_ASSUMPTIONS, ...firmwareAssumptions(bootPath.uki.pe.sections)],
    },
  ];
  if ("unknown" in parameters) return { pcrs, unknown: parameters.unknown };
  const { events } = parameters;
  pcrs.push({ pcr: 12, values: values(events), events, phases: [], assumes: PARAMETER_ASSUMPTIONS });
  return { pcrs, unknown: null };
}

const CODE_ASSUMPTIONS = [
  "The firmware's first attempt to boot is this one, and it starts no other application first (PlatformRecovery, SysPrep, a shell).",
  "The firmware measures its attempts to boot, as EDK II does: no EV_OMIT_BOOT_DEVICE_EVENTS.",
  "Neither shim nor a driver in EFI/systemd/drivers is used.",
];
const POLICY_ASSUMPTIONS = [
  "The variables contain exactly these bytes: additional vendor certificates, another owner or another order change the value.",
  "No other entry of db authorized an option ROM or driver earlier.",
  "The firmware measures SecureBoot, PK, KEK, db, dbx and, if present, dbt, as EDK II does, and no debugger is attached.",
];
const STUB_ASSUMPTIONS = [
  "Nothing but systemd-stub extends PCR 11 before the system boots; after that, systemd-pcrphase does, in images that have it.",
];
const PARAMETER_ASSUMPTIONS = [
  "The command line is not edited in the boot menu, and the firmware's boot entry has no options.",
  "The ESP has no other addons, credentials or extensions next to the UKI or in loader.",
  "The firmware accepts the device trees of addons, and nothing but systemd-boot and systemd-stub extends PCR 12.",
];

function imagesOf({ bootLoader, uki, addons }: BootPath): PePass[] {
  return [...(bootLoader === null ? [] : [bootLoader]), uki, ...addons];
}

/**
 * UEFI_IMAGE_LOAD_EVENT is logged with it; the digest is the image's alone (the profile, 10.2.3). An image that is on
 * several ways to boot is hashed once.
 */
function imageEvent(
  image: PePass,
  role: Extract<Measured, { kind: "program" }>["role"],
  banks: readonly PcrBank[],
): PcrEvent {
  return {
    type: "EV_EFI_BOOT_SERVICES_APPLICATION",
    digests: inBanks(banks, (bank) => image.hash(bank, "firmware")),
    description: image.pe.subject,
    measured: { kind: "program", role },
  };
}

function authoritiesOf(image: PePass, { policy, now }: ReferenceOptions): readonly Authority[] {
  const decision = decideStart(image, policy, now);
  if (decision.starts) return decision.authorities;
  throw new SealError("check", refusal(image, decision.reason));
}

function refusal({ pe }: PePass, reason: string): string {
  return `${pe.subject}: firmware with these keys does not start it: ${reason}`;
}

/**
 * A boot path without the addons that firmware refuses: the stub says so and goes on without them.
 * They are not measured.
 * @returns also why they are refused, one line each
 * @throws SealError `input` when an addon or a variable is corrupt
 */
export function withoutRefusedAddons(
  bootPath: BootPath,
  { policy, now }: Pick<ReferenceOptions, "policy" | "now">,
): { readonly bootPath: BootPath; readonly refusals: readonly string[] } {
  if (!policy.enforced) return { bootPath, refusals: [] };
  const refused = new Map<PeImage, string>();
  for (const addon of bootPath.addons) {
    const decision = decideStart(addon, policy, now);
    if (!decision.starts) refused.set(addon.pe, refusal(addon, decision.reason));
  }
  const addons = bootPath.addons.filter(({ pe }) => !refused.has(pe));
  const taken = bootPath.taken.filter((pe) => !refused.has(pe));
  return { bootPath: { ...bootPath, addons, taken }, refusals: [...refused.values()] };
}

/** The first version whose stub hands the kernel to LoadImage, and the first that loads it itself again. */
const STUB_LOADS_BY_FIRMWARE = 252;
const STUB_LOADS_ITSELF = 258;

/**
 * The kernel in a UKI, where the firmware measures it too. Stubs before 252 start it without firmware's help, as
 * those from 258 on do. Between, they call LoadImage; with Secure Boot on they take its checks out of the way, and
 * what measures with them.
 */
function measuredKernel(
  uki: PeImage,
  { sections }: MeasuredSet,
  enforced: boolean,
): { readonly image: PeImage | null; readonly assumes: readonly string[] } {
  const kernel = sections.find(({ name }) => name === ".linux");
  const version = systemdVersion(uki, "systemd-stub");
  if (version === null) {
    return { image: null, assumes: ["The UKI's stub, whose version is unknown, loads the kernel itself."] };
  }
  const byFirmware = version >= STUB_LOADS_BY_FIRMWARE && version < STUB_LOADS_ITSELF;
  if (!byFirmware || kernel === undefined) return { image: null, assumes: [] };
  if (!enforced) return { image: parsePe(kernel.content, `${uki.subject}: .linux`), assumes: [] };
  return {
    image: null,
    assumes: [
      `The firmware lets systemd-stub ${version} load the kernel unmeasured (EFI_SECURITY2_ARCH_PROTOCOL): EDK II does; some other firmware measures it into PCR 4.`,
    ],
  };
}
