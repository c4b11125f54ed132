/** What a firmware measures and enforces that has the keys that options name. */
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import { enroll } from "../../sign/enroll.ts";
import { parseVariableStore } from "../../sign/ovmf.ts";
import { readPolicy, type SecureBootPolicy } from "../../sign/secure-boot-policy.ts";
import { type Context, userPath } from "../context.ts";
import { type GroupValues, optionGroup } from "../options/group.ts";
import { path } from "../options/option.ts";
import { type EnrolmentOptions, enrolmentOptions, readEnrolments } from "./enrolments.ts";
import { NO_OWNER } from "./trust-sources.ts";

/**
 * The policy of a firmware with the keys given, on top of those of a variable store where there is one; null where nothing is given.
 * @throws SealError `input` when a file is not what its option wants
 */
export async function givenPolicy(
  context: Context,
  options: EnrolmentOptions & { readonly vars?: string | undefined },
): Promise<SecureBootPolicy | null> {
  const { vars } = options;
  const enrolments = await readEnrolments(context, options);
  const given = Object.keys(enrolments).length > 0;
  if (vars === undefined && !given) return null;
  const store =
    vars === undefined
      ? { variables: [], subject: "the keys given" }
      : parseVariableStore(await readInput(userPath(context, vars), SMALL_FILE), vars);
  return readPolicy(given ? enroll(store, enrolments) : store.variables, store.subject);
}

/** The keys of the machines that an image is for, as verbs about attestations take them. */
export const firmwareOptions = optionGroup("Firmware, for PCR 4 and 7", {
  keys: enrolmentOptions.declarations.keys,
  vars: path({ help: "variable store of OVMF or AAVMF with the keys, or that they come on top of" }),
});

/** @throws SealError `input` when a file is not what its option wants */
export async function firmwarePolicy(
  context: Context,
  { keys, vars }: GroupValues<typeof firmwareOptions>,
): Promise<SecureBootPolicy | null> {
  const none = { pk: [], kek: [], db: [], dbx: [], microsoft: [], append: false, owner: NO_OWNER };
  return givenPolicy(context, { ...none, keys, vars });
}
