/** Collects the keys and banks of measured boot from the options, and prints predictions as ukify does. */
import type { KeyObject } from "node:crypto";
import { z } from "zod";
import { type NamedBytes, toHex } from "../../bytes.ts";
import { SealError } from "../../errors.ts";
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import type { PcrPrediction } from "../../pe/measure.ts";
import type { PolicyKey } from "../../pe/pcr-policy.ts";
import type { MeasuredBoot, PcrPlan, PolicyPlan } from "../../pe/uki-pcrs.ts";
import { openPolicyKey, publicKeyPem, readCertificateKey, readPublicKey } from "../../sign/policy-key.ts";
import { type Context, userPath } from "../context.ts";
import { type PassphraseOptions, readPassphrase } from "../options/passphrase.ts";
import type { PcrOptions } from "../options/pcr.ts";

/** PCR values by bank, as reports print them. */
export const pcrBanksSchema = z.record(
  z.string(),
  z.array(
    z.object({
      /** 0: the base. */
      profile: z.int(),
      /** Which `.dtbauto` it is for; null without. */
      devicetree: z.int().nullable(),
      phase: z.string(),
      pcr: z.literal(11),
      hash: z.string(),
    }),
  ),
);

/** Measured boot as the options have it. */
export interface PcrInputs {
  /** What is to be predicted and signed. */
  readonly plan: PcrPlan;
  /**
   * Content of `.pcrpkey` when no option names it: the public key of the only PCR key; null: there is none, or several.
   */
  readonly publicKey: Uint8Array | null;
}

/**
 * Reads the keys of measured boot, each once.
 * @throws SealError `usage` for options that contradict each other, `input` for keys that can't be used
 */
export async function loadPcrPlan(context: Context, options: PcrOptions & PassphraseOptions): Promise<PcrInputs> {
  checkCounts(options);
  const given = await givenPublicKeys(context, options);
  const policies = await policyPlans(context, options, given);
  return {
    plan: { banks: options.pcrBanks, phases: allPhases(options), policies, profiles: options.signProfile },
    publicKey: onlyPublicKey(options, given, policies),
  };
}

function onlyPublicKey(
  { pcrPrivateKey }: PcrOptions,
  given: readonly (GivenKey | null)[],
  [first]: readonly PolicyPlan[],
): Uint8Array | null {
  const [key, second] = given;
  if (second === undefined && key !== undefined && key !== null) return key.pem;
  return first === undefined || pcrPrivateKey.length !== 1 ? null : publicKeyPem(first.key.publicKey);
}

function checkCounts(options: PcrOptions): void {
  const keys = options.pcrPrivateKey.length;
  const { pcrPublicKey, pcrCertificate, phases, policyref } = options;
  const usage = (message: string) => new SealError("usage", message);
  if (options.policyDigest === true && pcrPublicKey.length + pcrCertificate.length !== 1) {
    throw usage(
      "--policy-digest: requires exactly one --pcr-public-key (or --pcr-certificate), the one that signs later",
    );
  }
  if (keys === 0) return;
  const counts = {
    "--pcr-public-key": pcrPublicKey,
    "--pcr-certificate": pcrCertificate,
    "--phases": phases,
    "--policyref": policyref,
  };
  for (const [name, { length }] of Object.entries(counts)) {
    if (length !== 0 && length !== keys) throw usage(`${name}: give one for each of the ${keys} --pcr-private-key`);
  }
}

/** Phase paths of all keys. */
function allPhases({ phases }: PcrOptions): string[] {
  return phases.flatMap((paths) => paths ?? []);
}

async function policyPlans(
  context: Context,
  options: PcrOptions & PassphraseOptions,
  given: readonly (GivenKey | null)[],
): Promise<PolicyPlan[]> {
  const plans: PolicyPlan[] = [];
  const [only] = given;
  if (options.policyDigest === true && only !== undefined && only !== null) {
    plans.push({ key: { publicKey: only.key, sign: null }, phases: allPhases(options), reference: "" });
  }
  for (const [index, file] of options.pcrPrivateKey.entries()) {
    const key = await openKey(context, options, file, given[index] ?? null);
    plans.push({ key, phases: options.phases[index] ?? [], reference: options.policyref[index] ?? "" });
  }
  const [first] = plans;
  if (options.signInitrdPcrs && first !== undefined) {
    plans.push({ key: first.key, phases: ["enter-initrd"], reference: "initrd" });
  }
  return plans;
}

/** A public key that an option names. */
interface GivenKey {
  readonly key: KeyObject;
  readonly subject: string;
  /** As it goes into `.pcrpkey`. */
  readonly pem: Uint8Array;
}

/** Those of the private keys, in their order, or the only one; null where the options leave one out. */
async function givenPublicKeys(context: Context, options: PcrOptions): Promise<(GivenKey | null)[]> {
  const { pcrPrivateKey, pcrPublicKey, pcrCertificate } = options;
  const length = Math.max(pcrPublicKey.length, pcrCertificate.length);
  if (length !== 1 && length !== pcrPrivateKey.length) return [];
  const keys: (GivenKey | null)[] = [];
  for (let index = 0; index < length; index++) keys.push(await givenPublicKey(context, options, index));
  return keys;
}

async function givenPublicKey(
  context: Context,
  { pcrPublicKey, pcrCertificate }: PcrOptions,
  index: number,
): Promise<GivenKey | null> {
  const publicKey = pcrPublicKey[index];
  if (typeof publicKey === "string") {
    const file = await read(context, publicKey);
    return { key: readPublicKey(file), subject: publicKey, pem: file.bytes };
  }
  const certificate = pcrCertificate[index];
  if (typeof certificate !== "string") return null;
  const key = readCertificateKey(await read(context, certificate));
  return { key, subject: certificate, pem: publicKeyPem(key) };
}

async function openKey(
  context: Context,
  options: PassphraseOptions,
  file: string,
  publicKey: Parameters<typeof openPolicyKey>[2],
): Promise<PolicyKey> {
  // Standard input can be read once only, for the key that signs the UKI.
  const passphrase = options.passphraseFile === "-" ? null : await readPassphrase(context, options);
  return openPolicyKey(await read(context, file), passphrase, publicKey);
}

async function read(context: Context, path: string): Promise<NamedBytes> {
  return { bytes: await readInput(userPath(context, path), SMALL_FILE), subject: path };
}

/** How predictions are printed. */
export type MeasureFormat = "text" | "short" | "pretty";

/**
 * What `ukify build --measure` prints, with its empty line after each way to boot.
 * @returns without the final newline
 */
export function measureText(boots: readonly MeasuredBoot[], format: MeasureFormat): string {
  return boots.map(({ predictions }) => `${formatPredictions(predictions, format)}\n`).join("\n");
}

function formatPredictions(predictions: readonly PcrPrediction[], format: MeasureFormat): string {
  if (format === "text") return predictions.map(({ bank, value }) => `11:${bank}=${toHex(value)}`).join("\n");
  const json = predictionsByBank(predictions);
  if (format === "short") return JSON.stringify(json);
  return JSON.stringify(json, null, "\t").replaceAll(/^(\t*"[^"]*"):/gm, "$1 :");
}

function predictionsByBank(
  predictions: readonly PcrPrediction[],
): Record<string, { phase: string; pcr: 11; hash: string }[]> {
  const banks: Record<string, { phase: string; pcr: 11; hash: string }[]> = {};
  for (const { bank, phase, value } of predictions) {
    banks[bank] ??= [];
    banks[bank].push({ phase, pcr: 11, hash: toHex(value) });
  }
  return banks;
}

/** Predictions of all ways to boot by bank, for reports. */
export function pcrReport(boots: readonly MeasuredBoot[]) {
  const banks: Record<string, { profile: number; devicetree: number | null; phase: string; pcr: 11; hash: string }[]> =
    {};
  for (const { profile, devicetree, predictions } of boots) {
    for (const [bank, values] of Object.entries(predictionsByBank(predictions))) {
      banks[bank] ??= [];
      banks[bank].push(...values.map((value) => ({ profile, devicetree, ...value })));
    }
  }
  return banks;
}
