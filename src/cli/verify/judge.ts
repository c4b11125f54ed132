/** By what `seal verify` judges: certificates and lists that are given, or the variables of a firmware. */
import { SealError } from "../../errors.ts";
import { firmwareArch, ownEfivars, readEfivars } from "../../seal/efivars.ts";
import type { BootMachine } from "../../seal/verify-boot.ts";
import { trustOfPolicy } from "../../sign/authority.ts";
import type { OtherVariable } from "../../sign/authvar.ts";
import { databaseOf, type SignatureDatabase, unreadableEntry } from "../../sign/database.ts";
import { joinTrust } from "../../sign/join-trust.ts";
import { variableKey } from "../../sign/ovmf.ts";
import { readPolicy } from "../../sign/secure-boot-policy.ts";
import { runtimeCopy, SHIM_VARIABLES } from "../../sign/shim.ts";
import { parseSignatureLists } from "../../sign/siglist.ts";
import { type Context, userPath } from "../context.ts";
import { type FirmwareVariables, firmwareVariables } from "../keys/policy.ts";
import type { AttestTrustOptions } from "../options/attest-trust.ts";
import type { GroupValues } from "../options/group.ts";
import { readSbatLevel } from "../options/sbat-level.ts";
import { readTrust, type trustOptions } from "../options/trust.ts";

export type JudgeOptions = GroupValues<typeof trustOptions> &
  Pick<AttestTrustOptions, "keys" | "vars"> & { readonly sbatLevel: string | undefined };

/** Whether the firmware enforces signatures; null: that is not known of what was given. */
export type SecureBootState = "on" | "off" | "setup mode" | null;

export interface Judge {
  readonly machine: BootMachine;
  /** For people: `db and dbx of vars.fd`. */
  readonly name: string;
  readonly secureBoot: SecureBootState;
}

/**
 * What the options name: a firmware, certificates and lists, or a firmware with these on top.
 * @param own whether this machine's variables count where nothing says what is allowed
 * @returns null when they name nothing
 * @throws SealError `usage` when this machine has no variables that can be seen, `input` for what is not
 *   what its option wants
 */
export async function readJudge(context: Context, options: JudgeOptions, own: boolean): Promise<Judge | null> {
  const judge = await judgeBy(context, options, own);
  const supposedLevel = await readSbatLevel(context, options.sbatLevel);
  if (judge === null || supposedLevel === null) return judge;
  const { machine, name } = judge;
  return {
    ...judge,
    machine: { ...machine, shim: { ...machine.shim, supposedLevel } },
    name: `${name}, --sbat-level`,
  };
}

async function judgeBy(context: Context, options: JudgeOptions, own: boolean): Promise<Judge | null> {
  const { cert, db, dbx, keys, vars } = options;
  const files = [...cert, ...db, ...dbx];
  // What reads keys is not loaded for certificates.
  const firmware = keys === undefined && vars === undefined ? null : await firmwareVariables(context, options);
  const isOwn = own && firmware === null && cert.length + db.length === 0;
  const name = [vars, keys].filter((one) => one !== undefined).join(" with ");
  const base =
    firmware !== null
      ? judgeOf(context, firmware, await archOf(context, vars), name)
      : isOwn
        ? await ownJudge(context)
        : null;
  if (files.length === 0) return base;
  const trust = await readTrust(context, options);
  if (base === null) {
    const machine = { trust, arch: null, shim: { trust: { certificates: [] }, sbatLevel: null, supposedLevel: null } };
    return { machine, name: files.join(", "), secureBoot: null };
  }
  const joined = joinTrust(base.machine.trust, [trust]);
  return { ...base, machine: { ...base.machine, trust: joined }, name: `${base.name} with ${files.join(", ")}` };
}

async function ownJudge(context: Context): Promise<Judge> {
  const directory = ownEfivars(context.process.env);
  const variables = await readEfivars(directory, directory);
  if (variables === null) {
    throw new SealError(
      "usage",
      `give --db and --dbx, --vars, --keys or --cert: ${directory} has no UEFI variables to use instead`,
    );
  }
  return judgeOf(context, { variables, subject: directory }, await firmwareArch(directory), directory);
}

/** The architecture is known of this machine's variables only. */
async function archOf(context: Context, vars: string | undefined) {
  const own = ownEfivars(context.process.env);
  return vars !== undefined && userPath(context, vars) === userPath(context, own) ? firmwareArch(own) : null;
}

function judgeOf(
  context: Context,
  { variables, subject }: FirmwareVariables,
  arch: BootMachine["arch"],
  name: string,
): Judge {
  const policy = readPolicy(variables, subject);
  const find = (id: OtherVariable) => variables.find((one) => variableKey(one) === variableKey(id))?.value;
  const read = (id: OtherVariable) => find(id) ?? find(runtimeCopy(id));
  const listsOf = (id: OtherVariable, list: string): SignatureDatabase | null => {
    const value = read(id);
    return value === undefined ? null : databaseOf(parseSignatureLists(value, `${subject}: ${id.name}`), list);
  };
  const [enrolled, revoked] = [
    listsOf(SHIM_VARIABLES.enrolled, "MokList"),
    listsOf(SHIM_VARIABLES.revoked, "MokListX"),
  ];
  const level = read(SHIM_VARIABLES.sbatLevel);
  for (const [id, lists] of [
    ["db", policy.db],
    ["dbx", policy.dbx],
  ] as const) {
    const { unreadable } = databaseOf(lists, id);
    for (const problem of unreadable) context.ui.warn(unreadableEntry(`${subject}: ${id}`, problem));
  }
  return {
    machine: {
      trust: trustOfPolicy(policy, context.process.now()),
      arch,
      shim: {
        trust: {
          certificates: enrolled?.certificates ?? [],
          imageHashes: enrolled?.imageHashes ?? [],
          revoked: revoked ?? undefined,
        },
        sbatLevel: level === undefined ? null : Buffer.from(level).toString("latin1"),
        supposedLevel: null,
      },
    },
    name,
    secureBoot: policy.enforced ? "on" : policy.setupMode ? "setup mode" : "off",
  };
}
