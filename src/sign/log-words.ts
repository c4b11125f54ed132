/**
 * What an event of a log is that should be another one, in words: other loader, other key in db, an addon, and so on.
 */
import { equalBytes, escapeControls, latin1, toHex } from "../bytes.ts";
import { firmwareImageHash } from "../pe/authentihash.ts";
import { ukiCmdlines } from "../pe/boot-parameters.ts";
import type { LoggedEvent } from "../pe/event-log.ts";
import { findSection, parsePe, sectionData } from "../pe/headers.ts";
import { isHashOfData, loadedFrom, loggedText, readable, taggedText } from "../pe/log-event.ts";
import { type PcrBank, type PcrEvent, shownBank } from "../pe/pcr-events.ts";
import { excerpt, shortDigest } from "../text.ts";
import type { BootPath } from "./boot-reference.ts";
import { authorityText, listDifference, loggedVariable } from "./logged-variable.ts";
import type { SecureBootPolicy } from "./secure-boot-policy.ts";

/** Why a log is another's. */
export const MISMATCH_REASONS = [
  "secure-boot",
  "platform-key",
  "key-exchange-keys",
  "db",
  "dbx",
  "other-variable",
  "authority",
  "firmware",
  "driver",
  "boot-loader",
  "uki",
  "addon",
  "kernel",
  "other-program",
  "section",
  "profile",
  "command-line",
  "companion",
  "digests",
  "missing",
  "cut",
  "unknown",
] as const;
/** Why an event log is not that of an image. */
export type MismatchReason = (typeof MISMATCH_REASONS)[number];

export interface EventWords {
  readonly reason: MismatchReason;
  /** One clause. */
  readonly text: string;
}

/** What the event was held against. */
interface Compared {
  readonly way: { readonly bootPath: BootPath; readonly unknown: string | null };
  readonly policy: SecureBootPolicy;
  readonly banks: readonly PcrBank[];
}

/** @param expected null: nothing more of that PCR is */
export function wordsOf(event: LoggedEvent, expected: PcrEvent | null, compared: Compared): EventWords {
  const { banks } = compared;
  const lacking = banks.find((bank) => event.digests[bank] === undefined);
  if (lacking !== undefined) return { reason: "digests", text: `it has no ${lacking} digest` };
  const torn = tornDigests(event, expected, banks);
  if (torn !== null) return torn;
  switch (event.pcr) {
    case 4:
      return programWords(event, expected, compared);
    case 7:
      return policyWords(event, expected, compared);
    case 11:
      return sectionWords(event, expected);
    case 12:
      return parameterWords(event, expected, compared);
    case 13:
      return companion(event, "a system extension came with the UKI from outside", compared);
    default:
      return unknown(event);
  }
}

/** Digests of which one is right and another is not: no machine measures so. */
function tornDigests(
  { digests }: LoggedEvent,
  expected: PcrEvent | null,
  banks: readonly PcrBank[],
): EventWords | null {
  if (expected === null) return null;
  const same = (bank: PcrBank) =>
    equalBytes(digests[bank] ?? new Uint8Array(), expected.digests[bank] ?? new Uint8Array());
  const [right, wrong] = [banks.find(same), banks.find((bank) => !same(bank))];
  if (right === undefined || wrong === undefined) return null;
  const text = `its ${right} digest is that of ${expected.description}, its ${wrong} digest is not: they are of different bytes`;
  return { reason: "digests", text };
}

function unknown({ type, pcr }: LoggedEvent): EventWords {
  return { reason: "unknown", text: `nothing here accounts for an event of type ${type} in PCR ${pcr}` };
}

const PROGRAM_REASONS = { "boot loader": "boot-loader", UKI: "uki", addon: "addon", kernel: "kernel" } as const;

function programWords(
  event: LoggedEvent,
  expected: PcrEvent | null,
  { way: { bootPath }, banks }: Compared,
): EventWords {
  if (event.type === "EV_EFI_BOOT_SERVICES_DRIVER" || event.type === "EV_EFI_RUNTIME_SERVICES_DRIVER") {
    return { reason: "driver", text: `a driver was loaded, ${programText(event, banks)}` };
  }
  if (event.type === "EV_EFI_ACTION" || event.type === "EV_SEPARATOR") return firmwareWords(event, banks);
  if (event.type !== "EV_EFI_BOOT_SERVICES_APPLICATION") return unknown(event);
  const program = programText(event, banks);
  const role = expected?.measured.kind === "program" ? expected.measured.role : null;
  const isBehindUki = role !== "boot loader" && role !== "UKI";
  if (isBehindUki && isKernelOf(bootPath, event, banks)) {
    return { reason: "kernel", text: "the firmware also measured the kernel in the UKI, which it should not" };
  }
  // Only systemd-stub loads what is called so.
  if (isBehindUki && role !== "addon" && /\.addon\.efi$/i.test(loadedFrom(event) ?? "")) {
    return { reason: "addon", text: `an addon that should not be there was loaded, ${program}` };
  }
  if (role === null || expected === null) {
    return { reason: "other-program", text: `another program was loaded, ${program}` };
  }
  const reason = PROGRAM_REASONS[role];
  const own = expected.digests[shownBank(banks)] ?? new Uint8Array();
  return { reason, text: `other ${role}: ${program}; ${expected.description} has ${shortDigest(toHex(own))}` };
}

/** `\EFI\BOOT\BOOTX64.EFI with the Authenticode hash 1234…abcd (sha256)`; the path is what the log says. */
function programText(event: LoggedEvent, banks: readonly PcrBank[]): string {
  const bank = shownBank(banks);
  const from = loadedFrom(event);
  const name = from === null ? "whose name is not logged," : excerpt(escapeControls(from));
  return `${name} with the Authenticode hash ${shortDigest(toHex(event.digests[bank] ?? new Uint8Array()))} (${bank})`;
}

function isKernelOf({ uki: { pe } }: BootPath, { digests }: LoggedEvent, banks: readonly PcrBank[]): boolean {
  const section = findSection(pe, ".linux");
  if (section === null) return false;
  const kernel = readable(() => parsePe(sectionData(pe, section), `${pe.subject}: .linux`));
  if (kernel === null) return false;
  return banks.every((bank) => equalBytes(digests[bank] ?? new Uint8Array(), firmwareImageHash(kernel, bank)));
}

/** Of PCR 4 and 7, where firmware says what it does. */
function firmwareWords(event: LoggedEvent, banks: readonly PcrBank[]): EventWords {
  if (event.type === "EV_SEPARATOR") {
    const text = event.data.every((byte) => byte === 0)
      ? "the firmware's separator is in the wrong place"
      : "the firmware recorded an error instead of its separator";
    return { reason: "firmware", text };
  }
  const said = isHashOfData(event, banks) ? quoted(latin1(event.data)) : "something that is not in the log";
  return { reason: "firmware", text: `the firmware recorded ${said}` };
}

const VARIABLE_REASONS: Readonly<Record<string, MismatchReason>> = {
  SecureBoot: "secure-boot",
  PK: "platform-key",
  KEK: "key-exchange-keys",
  db: "db",
  dbx: "dbx",
};
const VARIABLE_WORDS: Readonly<Record<string, string>> = {
  PK: "other platform key (PK)",
  KEK: "other key in KEK",
  db: "other key in db",
  dbx: "dbx differs",
};

function policyWords(event: LoggedEvent, expected: PcrEvent | null, { policy, banks }: Compared): EventWords {
  if (event.type === "EV_EFI_ACTION" || event.type === "EV_SEPARATOR") return firmwareWords(event, banks);
  const isVariable = event.type === "EV_EFI_VARIABLE_DRIVER_CONFIG";
  if (!isVariable && event.type !== "EV_EFI_VARIABLE_AUTHORITY") return unknown(event);
  const variable = isHashOfData(event, banks) ? loggedVariable(event) : null;
  if (variable === null) {
    return { reason: "digests", text: "the variable's value in the log is not what was measured" };
  }
  const name = excerpt(escapeControls(variable.name), 40);
  if (!isVariable) {
    const text = `other key: ${authorityText(variable)} in ${name} authorized a program`;
    const wanted = expected?.measured.kind === "authority" ? `, expected the ${expected.description}` : "";
    return { reason: "authority", text: `${text}${wanted}` };
  }
  const wanted = expected?.measured.kind === "variable" ? expected.measured.name : null;
  if (wanted !== variable.name) {
    return {
      reason: "other-variable",
      text: `the firmware measured the variable ${name}, which is not one of those given`,
    };
  }
  const reason = VARIABLE_REASONS[wanted] ?? "other-variable";
  if (wanted === "SecureBoot") {
    return {
      reason,
      text: `Secure Boot is ${variable.value[0] === 1 ? "on" : "off"}, it should be ${policy.enforced ? "on" : "off"}`,
    };
  }
  const own = policy.variables.find(({ id }) => id.name === wanted)?.value ?? new Uint8Array();
  return { reason, text: `${VARIABLE_WORDS[wanted] ?? `${wanted} differs`}: ${listDifference(variable, own)}` };
}

function sectionWords(event: LoggedEvent, expected: PcrEvent | null): EventWords {
  if (event.type !== "EV_IPL") return unknown(event);
  const name = quoted(loggedText(event));
  const own = expected?.measured.kind === "section" ? expected.measured.name : null;
  if (own === null) return { reason: "section", text: `the UKI has an additional section; the log calls it ${name}` };
  return own === ".profile"
    ? { reason: "profile", text: "other profile: not one of the UKI's" }
    : {
        reason: "section",
        text: `other section: ${own} of the UKI is not what was measured; the log calls it ${name}`,
      };
}

/**
 * Number of the tagged event in which systemd-stub records the profile (systemd, src/fundamental/tpm2-pcr.h,
 * UKI_PROFILE_EVENT_TAG_ID).
 */
const PROFILE_TAG = 0x13aed6db;

function parameterWords(event: LoggedEvent, expected: PcrEvent | null, compared: Compared): EventWords {
  if (event.type === "EV_EVENT_TAG") {
    const tagged = taggedText(event);
    return tagged?.tag === PROFILE_TAG
      ? { reason: "profile", text: `other profile: ${quoted(tagged.text)} was chosen` }
      : companion(event, `something from an addon was added; the log calls it ${quoted(tagged?.text ?? "")}`, compared);
  }
  if (event.type !== "EV_IPL") return unknown(event);
  const text = loggedText(event);
  // An archive of credentials or extensions has a name in the log, not its content.
  if (!isHashOfData(event, compared.banks)) {
    return companion(event, `something came with the UKI from outside; the log calls it ${quoted(text)}`, compared);
  }
  if (/^@\d+$/.test(text)) return { reason: "profile", text: `other profile: ${text.slice(1)} was chosen` };
  return { reason: "command-line", text: commandLineText(text, expected, compared) };
}

function commandLineText(text: string, expected: PcrEvent | null, { way, policy }: Compared): string {
  const own = expected?.measured.kind === "command line" ? expected.measured : null;
  const wanted = own === null ? "nothing should be added" : `it should be ${quoted(own.text)}`;
  if (own?.from === "addons") return `other command line of addons: ${quoted(text)}, ${wanted}`;
  // Where Secure Boot is on, a stub takes none from the boot menu in place of its own.
  const isSealed = policy.enforced && ukiCmdlines(way.bootPath.uki.pe).length > 0;
  const source = isSealed ? "from SMBIOS" : "from SMBIOS or the boot menu";
  return `other command line ${source}: ${quoted(text)}, ${wanted}`;
}

function companion({ pcr }: LoggedEvent, text: string, { way }: Compared): EventWords {
  const why = pcr === 12 && way.unknown !== null ? `; it can't be computed: ${way.unknown}` : "";
  return { reason: "companion", text: `${text}${why}` };
}

function quoted(text: string): string {
  return `“${excerpt(escapeControls(text), 100)}”`;
}
