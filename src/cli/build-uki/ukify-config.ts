/**
 * ukify's own configuration (ukify(1), "Configuration settings"): which option each setting is, and how it joins what
 * the command line says. Lists come before those of the command line, all else is for what the command line leaves out,
 * and each section `[PCRSignature:NAME]` is one more key.
 */
import { SealError } from "../../errors.ts";
import type { Origin } from "../config/origin.ts";
import type { RawValue } from "../options/check.ts";
import type { RawValues } from "../options/parse.ts";
import { type IniSection, type IniSetting, parseIni } from "./ini.ts";
import type { BuildUkiOption } from "./options.ts";
import { splitBlanks } from "./python-space.ts";

export interface UkifyConfig {
  readonly path: string;
  readonly sections: readonly IniSection[];
}

/** Where ukify looks, in this order; the first that is there counts. */
export const UKIFY_CONFIG_PATHS: readonly string[] = ["/etc", "/run", "/usr/local/lib", "/usr/lib"].map(
  (directory) => `${directory}/systemd/ukify.conf`,
);

type SettingKind =
  /** A value of an option under its camel-case name; for one that is repeatable, one more value. */
  | { readonly kind: "value" | "item" | "words" | "boolean" | "group"; readonly option: BuildUkiOption }
  /** Without effect on what is built. */
  | { readonly kind: "ignored" }
  /** Another key would be used, or none, if it were ignored. */
  | { readonly kind: "refused"; readonly wayOut: string };

const value = (option: BuildUkiOption) => ({ kind: "value", option }) as const;
const item = (option: BuildUkiOption) => ({ kind: "item", option }) as const;
const words = (option: BuildUkiOption) => ({ kind: "words", option }) as const;
const boolean = (option: BuildUkiOption) => ({ kind: "boolean", option }) as const;
const group = (option: BuildUkiOption) => ({ kind: "group", option }) as const;
const ignored = { kind: "ignored" } as const;
const refused = (wayOut: string) => ({ kind: "refused", wayOut }) as const;

const UKI_SETTINGS: Readonly<Record<string, SettingKind>> = {
  Linux: value("linux"),
  OSRelease: value("osRelease"),
  Cmdline: value("cmdline"),
  Initrd: words("initrd"),
  Firmware: item("efifw"),
  Microcode: value("microcode"),
  Splash: value("splash"),
  DeviceTree: value("devicetree"),
  DeviceTreeAuto: words("devicetreeAuto"),
  HWIDs: value("hwids"),
  Uname: value("uname"),
  SBAT: item("sbat"),
  PCRPKey: value("pcrpkey"),
  Profile: value("profile"),
  PCRSig: value("pcrsig"),
  EFIArch: value("efiArch"),
  Stub: value("stub"),
  PCRBanks: value("pcrBanks"),
  SigningEngine: refused("OpenSSL engines are not supported; give a key in a token as pkcs11:URI, or --signer"),
  SigningProvider: refused("OpenSSL providers are not supported; give a key in a token as pkcs11:URI, or --signer"),
  CertificateProvider: refused("give the certificate as a file, or omit it to use the one in the token"),
  SecureBootSigningTool: value("signtool"),
  SecureBootPrivateKey: value("key"),
  SecureBootCertificate: value("cert"),
  SecureBootCertificateCommonName: ignored,
  SecureBootCertificateDir: ignored,
  SecureBootCertificateName: refused(
    "NSS databases are not supported; give SecureBootPrivateKey and SecureBootCertificate",
  ),
  SecureBootCertificateValidity: ignored,
  SignKernel: boolean("signKernel"),
  SignInitrdPCRs: boolean("signInitrdPcrs"),
};

const PCR_SIGNATURE_SETTINGS: Readonly<Record<string, SettingKind>> = {
  PCRPrivateKey: group("pcrPrivateKey"),
  PCRPublicKey: group("pcrPublicKey"),
  PCRCertificate: group("pcrCertificate"),
  Phases: group("phases"),
  PolicyRef: group("policyref"),
};

/** All settings that ukify knows, as `SECTION/KEY`. */
export const UKIFY_SETTINGS: readonly string[] = [
  ...Object.keys(UKI_SETTINGS).map((key) => `UKI/${key}`),
  ...Object.keys(PCR_SIGNATURE_SETTINGS).map((key) => `PCRSignature:/${key}`),
];

/** Whether a file is ukify's: no table of seal.toml is called like its sections. */
export function isUkifyConfig(text: string): boolean {
  return /^[ \t]*\[(?:UKI|PCRSignature:[^\]\n]+)\]/m.test(text);
}

/**
 * @param path names the file in messages
 * @throws SealError `usage` with the number of the line that can't be read
 */
export function parseUkifyConfig(bytes: Uint8Array, path: string): UkifyConfig {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new SealError("usage", `${path}: is not valid UTF-8`, { cause: error });
  }
  return { path, sections: parseIni(text, path) };
}

export interface ConfiguredOptions {
  /** Values by camel-case name, as commander gives them; null: the key of that place has none. */
  readonly raw: RawValues;
  /** Where values came from, by camel-case name, for messages about them: `ukify.conf:3: EFIArch`. */
  readonly origins: ReadonlyMap<string, Origin>;
  /** Settings that ukify does not know either, one line each. */
  readonly warnings: readonly string[];
}

/**
 * Joins the settings to the options of an invocation.
 * @param given values by camel-case name; undefined: not given
 * @throws SealError `usage` with the number of the line for a setting that can't be followed
 */
export function applyUkifyConfig({ path, sections }: UkifyConfig, given: RawValues): ConfiguredOptions {
  const raw: Record<string, RawValue | undefined> = { ...given };
  const origins = new Map<string, Origin>();
  const warnings: string[] = [];
  const groups: (string | null)[] = Array.from(listOf(given["pcrPrivateKey"]), () => null);
  for (const { name, settings } of sections) {
    const signature = /^PCRSignature:([^:]+)$/.exec(name)?.[1] ?? null;
    const known = signature !== null ? PCR_SIGNATURE_SETTINGS : name === "UKI" ? UKI_SETTINGS : {};
    for (const setting of settings) {
      const kind = Object.hasOwn(known, setting.key) ? known[setting.key] : undefined;
      const subject = `${path}:${setting.line}`;
      if (kind === undefined) {
        warnings.push(`${subject}: unknown setting [${name}] ${setting.key}`);
        continue;
      }
      if (kind.kind === "refused") throw new SealError("usage", `${subject}: ${setting.key}: ${kind.wayOut}`);
      if (kind.kind === "ignored") continue;
      const { option } = kind;
      const before = raw[option];
      raw[option] = joined(kind.kind, before, setting, { subject, groups, group: signature });
      if (raw[option] !== before) {
        origins.set(option, { kind: "file", name: setting.key, path, line: setting.line, found: false });
      }
    }
  }
  return { raw, origins, warnings };
}

interface Place {
  readonly subject: string;
  /** Names of the keys so far; null for those of the command line. */
  readonly groups: (string | null)[];
  readonly group: string | null;
}

function joined(
  kind: "value" | "item" | "words" | "boolean" | "group",
  before: RawValue | undefined,
  { key, value: text }: IniSetting,
  { subject, groups, group: name }: Place,
): RawValue {
  switch (kind) {
    case "value":
      return before ?? text;
    case "boolean":
      return before ?? parseBoolean(text, `${subject}: ${key}`);
    case "item":
      return [text, ...listOf(before)];
    case "words":
      return [...splitBlanks(text), ...listOf(before)];
    case "group": {
      if (!groups.includes(name)) groups.push(name);
      const list = listOf(before);
      const missing = Math.max(groups.indexOf(name) - list.length, 0);
      if (key === "PCRPrivateKey" && missing > 0) {
        throw new SealError("usage", `${subject}: ${key}: a [PCRSignature:…] before this one has no PCRPrivateKey`);
      }
      return [...list, ...Array.from({ length: missing }, () => null), text];
    }
  }
}

function listOf(before: RawValue | undefined): readonly (string | null)[] {
  return typeof before === "object" ? before : [];
}

function parseBoolean(text: string, subject: string): boolean {
  if (/^(?:1|true|yes|y|t|on)$/i.test(text)) return true;
  if (/^(?:0|false|no|n|f|off)$/i.test(text)) return false;
  throw new SealError("usage", `${subject}: give yes or no`);
}
