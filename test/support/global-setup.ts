/**
 * Says once, in one line, which tests will be skipped and how to get what they need; under
 * SEAL_REQUIRE_PEERS=1 that is a failure.
 */
import { missing, PEERS, peersRequired } from "./peers.ts";

export default function setup(): void {
  const lacking = missing([...PEERS, "root", "rootfs", "machine"]);
  if (lacking.length === 0) return;
  const line = `tests that need ${lacking.join(", ")} can't run; test/peers/install (as root, on Debian) gets them`;
  if (peersRequired) throw new Error(`SEAL_REQUIRE_PEERS=1: ${line}`);
  process.stdout.write(`skipped: ${line}\n`);
}
