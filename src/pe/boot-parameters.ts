/**
 * What systemd-boot and systemd-stub measure into TPM PCR 12: what comes to a UKI from outside (UAPI Linux TPM PCR
 * Registry, https://uapi-group.org/specifications/specs/linux_tpm_pcr_registry/; systemd-stub(7), "TPM PCR Notes"). In
 * this order: the profile that was chosen, the addons' command lines, what the machine adds to them, device trees,
 * microcode and initramfs images of addons.
 */
import { utf8 } from "../bytes.ts";
import { byteLength, type Chunks, concat } from "../chunks.ts";
import { findSection, type PeImage, sectionData } from "./headers.ts";
import { systemdVersion } from "./loader-info.ts";
import { dataEvent, type Measured, type PcrBank, type PcrEvent } from "./pcr-events.ts";

export interface BootParameters {
  /** Null: firmware starts the UKI itself. */
  readonly bootLoader: PeImage | null;
  readonly uki: PeImage;
  /** 0: the base, which nothing is measured of. */
  readonly profile: number;
  /** The addons that the stub takes something from, in the order in which it loads them. */
  readonly addons: readonly PeImage[];
  /** Names of files next to the UKI that the stub packs into archives: credentials, configuration extensions. */
  readonly sidecars: readonly string[];
  /** What the machine adds to the command line (SMBIOS type 11); empty: nothing. */
  readonly kernelArguments: string;
}

/**
 * From here on the boot loader passes nothing to a UKI that is in it anyway, and stubs take
 * initramfs images from addons.
 */
const FIRST_VERSION = 257;

/**
 * The events of PCR 12, until the kernel starts.
 * @returns in words why they can't be known, where they can't
 */
export function parameterEvents(
  parameters: BootParameters,
  banks: readonly PcrBank[],
): { readonly events: readonly PcrEvent[] } | { readonly unknown: string } {
  const unknown = unknownReason(parameters);
  if (unknown !== null) return { unknown };
  const { bootLoader, profile, addons, kernelArguments } = parameters;
  const text = (value: string, what: string, measured: Measured) =>
    value === "" ? [] : [textEvent("EV_IPL", value, banks, what, measured)];
  const added = (value: string, what: string, from: "addons" | "machine") =>
    text(value, what, { kind: "command line", from, text: value });
  const contents = (from: readonly PeImage[], name: string) =>
    from.flatMap((addon) => {
      const content = contentOf(addon, name);
      const what = { description: `${name} of ${addon.subject}`, measured: { kind: "addon section", name } } as const;
      return content === null ? [] : [dataEvent("EV_EVENT_TAG", content, banks, what)];
    });
  const isProfile = { kind: "profile" } as const;
  const chosen =
    profile === 0 ? [] : [textEvent("EV_EVENT_TAG", String(profile), banks, `profile ${profile}`, isProfile)];
  return {
    events: [
      ...text(profile === 0 || bootLoader === null ? "" : `@${profile}`, `what chooses profile ${profile}`, isProfile),
      ...chosen,
      ...added(addedCmdline(addons), "command lines of addons", "addons"),
      ...added(asStub(utf8(kernelArguments)), "what the machine adds to the command line", "machine"),
      ...contents(addons, ".dtb"),
      // Of microcode Linux takes the first that fits: what comes last goes in front.
      ...contents(addons.toReversed(), ".ucode"),
      ...contents(addons, ".initrd"),
    ],
  };
}

function unknownReason({ bootLoader, uki, addons, sidecars }: BootParameters): string | null {
  const old = (pe: PeImage, program: "systemd-boot" | "systemd-stub") => {
    const version = systemdVersion(pe, program);
    return version === null || version < FIRST_VERSION
      ? `${pe.subject} ${program === "systemd-boot" ? "is not a" : "has no"} ${program} of version ${FIRST_VERSION} or later`
      : null;
  };
  const chosen = addons.find((addon) => contentOf(addon, ".dtbauto") !== null);
  const odd = addons.find((addon) => !isText(contentOf(addon, ".cmdline") ?? []));
  return (
    (bootLoader === null ? null : old(bootLoader, "systemd-boot")) ??
    old(uki, "systemd-stub") ??
    (sidecars[0] === undefined ? null : `${sidecars[0]} is measured as part of an archive`) ??
    (chosen === undefined ? null : `which device tree of ${chosen.subject} is used depends on the machine`) ??
    (odd === undefined ? null : `the command line of ${odd.subject} is not valid UTF-8`)
  );
}

/**
 * The command lines in a UKI, one for each profile that has its own, as the stub reads them. Those that are
 * not UTF-8 are left out.
 */
export function ukiCmdlines(uki: PeImage): string[] {
  const contents = uki.sections.filter(({ name }) => name === ".cmdline").map((section) => sectionData(uki, section));
  return contents.filter(isText).map((content) => asStub(concat(content)));
}

/** The stub joins what each addon has, then looks at all of it as at one command line. */
function addedCmdline(addons: readonly PeImage[]): string {
  const cmdlines = addons.flatMap((addon) => {
    const content = contentOf(addon, ".cmdline");
    return content === null ? [] : [asStub(concat(content))];
  });
  return trimmed(cmdlines.reduce((all, one) => (all === "" ? one : `${all} ${one}`), ""));
}

/** Null: there is no such section, or nothing in it. */
function contentOf(pe: PeImage, name: string): Chunks | null {
  const section = findSection(pe, name);
  const content = section === null ? [] : sectionData(pe, section);
  return byteLength(content) === 0 ? null : content;
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function isText(content: Chunks): boolean {
  try {
    decoder.decode(concat(content));
    return true;
  } catch {
    return false;
  }
}

/** UTF-8 as the stub takes it: to the first NUL, without characters that UCS-2 has not. */
function asStub(bytes: Uint8Array): string {
  const [text = ""] = decoder.decode(bytes).split("\0", 1);
  return trimmed(text.replaceAll(/[\u{10000}-\u{10ffff}]/gu, ""));
}

/** Without control characters, and without blanks around it. */
function trimmed(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is replaced
  return text.replaceAll(/[\x00-\x20\x7f]/g, " ").replaceAll(/^ +| +$/g, "");
}

/** Texts are measured in UCS-2, with a NUL. */
function textEvent(
  type: "EV_IPL" | "EV_EVENT_TAG",
  value: string,
  banks: readonly PcrBank[],
  what: string,
  measured: Measured,
): PcrEvent {
  const content = [Buffer.from(`${value}\0`, "utf16le")];
  return dataEvent(type, content, banks, { description: `${what}: ${value}`, measured });
}
