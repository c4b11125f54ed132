/** Keylime's measured boot attestation, with the policy of examples/keylime. */
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runPeer } from "./peers.ts";

const POLICY = fileURLToPath(new URL("../../examples/keylime/sealed_uki.py", import.meta.url));
const CONFIGURATION = '[verifier]\nmeasured_boot_imports = ["sealed_uki"]\nmeasured_boot_policy_name = sealed-uki\n';

/** As the verifier goes about it: it parses the log, and has the policy of its configuration judge. */
const JUDGE = `
import json, sys
from keylime.mba import mba
mba.load_imports()
_, _, log, failure = mba.bootlog_parse(sys.argv[2], "sha256")
state = mba.policy_load(sys.argv[1])
assert mba.policy_is_valid(state)
failure.merge(mba.bootlog_evaluate(state, log, set(range(16)), "machine"))
print(json.dumps([event.context for event in failure.events]))
`;
/** What `keylime-policy create measured-boot` runs. */
const CREATE = `
import argparse, sys
from keylime.policy import create_mb_policy
create_mb_policy.create_mb_refstate(argparse.Namespace(eventlog_file=sys.argv[1], without_secureboot=True, output=sys.argv[2]))
`;

function keylime(directory: string, script: string, ...args: readonly string[]): string {
  mkdirSync(directory, { recursive: true });
  cpSync(POLICY, join(directory, "sealed_uki.py"));
  for (const [name, text] of [
    ["verifier.conf", CONFIGURATION],
    ["script.py", script],
  ] as const)
    writeFileSync(join(directory, name), text);
  const env = { KEYLIME_VERIFIER_CONFIG: join(directory, "verifier.conf") };
  const { status, stdout, stderr } = runPeer("keylime-python", [join(directory, "script.py"), ...args], { env });
  if (status !== 0) throw new Error(stderr);
  return String(stdout);
}

/**
 * Why Keylime's verifier refuses a log; empty: it does not.
 * @param directory for its files, below /tmp
 * @param state path of the reference state
 */
export function keylimeFailures(directory: string, state: string, log: Uint8Array): string[] {
  return JSON.parse(
    keylime(directory, JUDGE, state, Buffer.from(log).toString("base64")).trimEnd().split("\n").at(-1) ?? "",
  );
}

/** The reference state that Keylime makes of a log. */
export function keylimeState(directory: string, log: string): Record<string, unknown> {
  return JSON.parse(keylime(directory, CREATE, log, "-").trimEnd().split("\n").at(-1) ?? "");
}
