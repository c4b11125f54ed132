/**
 * Checks keys to enrol against the programs shipped with them: a machine that trusts these keys must start these
 * programs.
 */
import { SealError } from "../errors.ts";
import type { PeImage } from "../pe/headers.ts";
import type { EnrollKeys } from "../sign/enroll-keys.ts";
import { enrolledTrust, programRefusal, signerRefusal } from "../sign/enrolled-trust.ts";
import type { Signing } from "./tree.ts";

const WAY_OUT = "give the keys that belong to the signer, or a db.auth that has its certificate";

/**
 * Refuses a signer whom the db that is enrolled does not allow: the machine would enrol it and then start nothing.
 * @throws SealError `input`
 */
export function checkSignerEnrolled(keys: EnrollKeys, { signer }: Pick<Signing, "signer">): void {
  const reason = signerRefusal(keys, signer.certificate, signer.chain);
  if (reason !== null) throw new SealError("input", `--enroll-keys: db.auth ${reason}; ${WAY_OUT}`);
}

/**
 * Refuses signed programs that the db that is enrolled does not allow. Unsigned programs are reported elsewhere.
 * @throws SealError `input`
 */
export function checkProgramsEnrolled(keys: EnrollKeys, programs: readonly PeImage[], now: Date): void {
  const trust = enrolledTrust(keys, now);
  if (trust === null) return;
  for (const pe of programs) {
    const reason = programRefusal(pe, trust);
    if (reason === null) continue;
    throw new SealError("input", `--enroll-keys: db.auth does not allow ${pe.subject} (${reason}); ${WAY_OUT}`);
  }
}
