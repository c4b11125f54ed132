import { ENROLL_FILES } from "../../boot/plan.ts";
import { concat } from "../../bytes.ts";
import { inputError, SealError } from "../../errors.ts";
import { parseVariableUpdate } from "../../sign/authvar.ts";
import { type ParsedCertificate, parseCertificate } from "../../sign/certificate.ts";
import { parseSignatureLists, X509_TYPE } from "../../sign/siglist.ts";
import { type Rootfs, readTreeFile } from "../../tree/rootfs.ts";
import { nodeAt } from "../files.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

const DIRECTORY = "boot/loader/keys/auto";
const LOADER_CONF = "boot/loader/loader.conf";
type KeyFile = (typeof ENROLL_FILES)[number];
/** Firmware takes PK and KEK when the PK signed them, db and dbx when a KEK did (UEFI specification 32.3). */
const SIGNED_BY: Readonly<Record<KeyFile, KeyFile>> = {
  "PK.auth": "PK.auth",
  "KEK.auth": "PK.auth",
  "db.auth": "KEK.auth",
  "dbx.auth": "KEK.auth",
};

export const enrollKeysRule: Rule = {
  id: "enroll-keys",
  severity: "warning",
  finds: "keys to enrol that are incomplete or do not fit together, or secure-boot-enroll force",
  applies: "sealed",
  check: async ({ rootfs }) => {
    const keys = nodeAt(rootfs, DIRECTORY);
    const forced = await forcedProblem(rootfs);
    if (keys === null && forced === null) return notApplicable(`there is no ${DIRECTORY}`);
    return checked(forced, ...(keys === null ? [] : await keyProblems(rootfs)));
  },
};

async function forcedProblem(rootfs: Rootfs): Promise<Problem | null> {
  const conf = await readTreeFile(rootfs, LOADER_CONF);
  if (conf === null || !/^[ \t]*secure-boot-enroll[ \t]+force\b/m.test(new TextDecoder().decode(conf))) return null;
  return {
    path: LOADER_CONF,
    message:
      "secure-boot-enroll force puts the keys into every machine in setup mode without asking; one whose devices need firmware signed by others may not start again.",
    fix: "use if-safe (the default: virtual machines only) or manual.",
  };
}

async function keyProblems(rootfs: Rootfs): Promise<Problem[]> {
  const updates = new Map<KeyFile, Update>();
  const problems: Problem[] = [];
  for (const name of ENROLL_FILES) {
    const path = `${DIRECTORY}/${name}`;
    const bytes = await readTreeFile(rootfs, path);
    try {
      if (bytes !== null) updates.set(name, readUpdate(bytes, path));
      else if (name !== "dbx.auth") {
        problems.push({
          path,
          message: "It is missing; PK, KEK and db are enrolled together or not at all.",
          fix: "make all three with seal keys generate.",
        });
      }
    } catch (error) {
      if (!(error instanceof SealError)) throw error;
      problems.push({
        path,
        message: `${error.message.replace(`${path}: `, "")}; it can't be enrolled.`,
        fix: "make it again with seal keys generate.",
      });
    }
  }
  for (const [name, update] of updates) {
    const signer = updates.get(SIGNED_BY[name]);
    if (signer === undefined || signer.certificates.some((certificate) => isNamedIn(certificate, update.signature)))
      continue;
    problems.push({
      path: `${DIRECTORY}/${name}`,
      message: `It is not signed by a key of ${SIGNED_BY[name]}: firmware refuses it, and the machine is left half enrolled.`,
      fix: "take all files from one run of seal keys generate.",
    });
  }
  return problems;
}

interface Update {
  readonly signature: Uint8Array;
  readonly certificates: readonly ParsedCertificate[];
}

/** @throws SealError `input` */
function readUpdate(bytes: Uint8Array, path: string): Update {
  const { signature, value } = parseVariableUpdate(bytes, path);
  const lists = parseSignatureLists(value, path);
  const certificates = lists
    .filter(({ type }) => type === X509_TYPE)
    .flatMap(({ signatures }) => signatures.map(({ data }) => parseCertificate({ der: data, label: path })));
  if (certificates.length === 0 && !path.endsWith("dbx.auth")) throw inputError(path, "there is no certificate in it");
  return { signature, certificates };
}

/** Whether SignedData names that certificate as its signer's: issuer and serial number, as they stand in SignerInfo. */
function isNamedIn({ issuer, serialNumber }: ParsedCertificate, signature: Uint8Array): boolean {
  return Buffer.from(signature).includes(Buffer.from(concat([issuer, serialNumber])));
}
