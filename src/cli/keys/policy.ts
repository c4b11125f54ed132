/** What a firmware measures and enforces that has the keys that options name. */
import { stat } from "node:fs/promises";
import { inputError } from "../../errors.ts";
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import { readEfivars } from "../../seal/efivars.ts";
import { enroll } from "../../sign/enroll.ts";
import { parseVariableStore, type StoredVariable } from "../../sign/ovmf.ts";
import { readPolicy, type SecureBootPolicy } from "../../sign/secure-boot-policy.ts";
import { type Context, userPath } from "../context.ts";
import { type GroupValues, optionGroup } from "../options/group.ts";
import { path } from "../options/option.ts";
import { type EnrolmentOptions, enrolmentOptions, readEnrolments } from "./enrolments.ts";
import { NO_OWNER } from "./trust-sources.ts";

/** Variables of a firmware, and what messages call it. */
export interface FirmwareVariables {
  readonly variables: readonly StoredVariable[];
  readonly subject: string;
}

/**
 * The variables of a firmware with the keys given, on top of what it has where that is given; null where nothing is.
 * @throws SealError `input` when a file is not what its option wants
 */
export async function givenVariables(
  context: Context,
  options: EnrolmentOptions & { readonly vars?: string | undefined },
): Promise<FirmwareVariables | null> {
  const { vars } = options;
  const enrolments = await readEnrolments(context, options);
  const given = Object.keys(enrolments).length > 0;
  if (vars === undefined && !given) return null;
  const store = vars === undefined ? { variables: [], subject: "the keys given" } : await readVars(context, vars);
  return given ? { variables: enroll(store, enrolments), subject: store.subject } : store;
}

/** What `--vars` takes. */
const VARS = "variable store of OVMF or AAVMF, or a directory like /sys/firmware/efi/efivars";

async function readVars(context: Context, path: string): Promise<FirmwareVariables> {
  const place = userPath(context, path);
  if (!((await stat(place).catch(() => null))?.isDirectory() ?? false)) {
    return parseVariableStore(await readInput(place, SMALL_FILE), path);
  }
  const variables = await readEfivars(place, path);
  if (variables === null) throw inputError(path, `has no Secure Boot variables; give a ${VARS}`);
  return { variables, subject: path };
}

/**
 * The policy of {@link givenVariables}.
 * @throws SealError `input` as it does, and for lists that are corrupt
 */
export async function givenPolicy(
  context: Context,
  options: Parameters<typeof givenVariables>[1],
): Promise<SecureBootPolicy | null> {
  const given = await givenVariables(context, options);
  return given === null ? null : readPolicy(given.variables, given.subject);
}

export const varsOption = path({ help: `${VARS}: the enrolled keys, to which the other options add` });

/** The keys of the machines that an image is for, as verbs about attestations take them. */
export const firmwareOptions = optionGroup("Firmware, for PCR 4 and 7", {
  keys: enrolmentOptions.declarations.keys,
  vars: varsOption,
});

/** {@link givenVariables} of these options. @throws SealError `input` as it does */
export function firmwareVariables(
  context: Context,
  { keys, vars }: GroupValues<typeof firmwareOptions>,
): Promise<FirmwareVariables | null> {
  const none = { pk: [], kek: [], db: [], dbx: [], microsoft: [], append: false, owner: NO_OWNER };
  return givenVariables(context, { ...none, keys, vars });
}

/** The policy of {@link firmwareVariables}. @throws SealError `input` as it does, and for lists that are corrupt */
export async function firmwarePolicy(
  context: Context,
  options: GroupValues<typeof firmwareOptions>,
): Promise<SecureBootPolicy | null> {
  const given = await firmwareVariables(context, options);
  return given === null ? null : readPolicy(given.variables, given.subject);
}
