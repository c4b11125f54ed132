/** Trust of several sources as one: what any of them allows is allowed, what any of them revokes is revoked. */
import { joinDatabases } from "./database.ts";
import type { Trust } from "./verify.ts";

/** What is additionally trusted, or revoked. */
export type AddedTrust = Omit<Trust, "now">;

/** @param own goes first: of several certificates that lead to a signer the first decides */
export function joinTrust(own: Trust, added: readonly AddedTrust[]): Trust {
  const all = [own, ...added];
  const revoked = all.flatMap((one) => one.revoked ?? []);
  return {
    now: own.now,
    certificates: all.flatMap(({ certificates }) => certificates),
    imageHashes: all.flatMap(({ imageHashes = [] }) => imageHashes),
    revoked: revoked.length === 0 ? undefined : joinDatabases(revoked),
  };
}
