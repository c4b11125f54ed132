/** Attestations whose key is offline: statements go out to be signed, signatures come back. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { formatBundle, toBeSigned } from "../../attest/bundle.ts";
import { isSignatureBy, keyHint } from "../../attest/signer.ts";
import { parseStatement, subjectProblem } from "../../attest/statement.ts";
import { inputError } from "../../errors.ts";
import { writeNewDirectory } from "../../io/new-directory.ts";
import { findImages } from "../../io/oci/referrers.ts";
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import type { ImageSource } from "../../io/rootfs-source.ts";
import type { Attestation, Stated } from "../../seal/attest.ts";
import { type Context, printLine, userPath } from "../context.ts";
import { readAttestKey } from "../options/attest.ts";
import type { RegistryOptions } from "../options/registry.ts";
import { portsOf } from "../ports.ts";

const STATEMENT = ".json";
const TO_BE_SIGNED = ".tbs";
const SIGNATURE = ".sig";

/** Writes each statement, and what is to be signed for it: a signature over that is a signature of the statement. */
export async function exportStatements(context: Context, { statements }: Stated, directory: string): Promise<0> {
  const files = statements.flatMap(({ name, bytes }) => [
    { name: `${name}${STATEMENT}`, bytes, mode: 0o644 },
    { name: `${name}${TO_BE_SIGNED}`, bytes: toBeSigned(bytes), mode: 0o644 },
  ]);
  await writeNewDirectory(userPath(context, directory), files, 0o755);
  for (const { name } of statements) {
    printLine(context, `${join(directory, name)}${TO_BE_SIGNED}: to be signed with SHA-256, as ${name}${SIGNATURE}`);
  }
  return 0;
}

interface HalfOptions extends RegistryOptions {
  readonly attestCert?: string | undefined;
  readonly platform?: string | undefined;
}

/**
 * Makes bundles of the statements in a directory and the signatures that came back.
 * @throws SealError `input` for a statement that is about another image, and a signature that is
 *   missing or not by the key
 */
export async function attachSigned(
  context: Context,
  from: ImageSource,
  options: HalfOptions,
  directory: string,
): Promise<{ readonly found: Stated["found"]; readonly attestations: readonly Attestation[] }> {
  const { attestCert = "", platform } = options;
  const { key, label } = await readAttestKey(context, attestCert);
  const found = await findImages(from, { ...portsOf(context, { ...options, cache: false }), platform });
  const names = (await readdir(userPath(context, directory)).catch(() => []))
    .filter((name) => name.endsWith(STATEMENT))
    .toSorted();
  if (names.length === 0) throw inputError(directory, "has no statements NAME.json; --export-tbs writes them");
  const attestations: Attestation[] = [];
  for (const file of names) {
    const name = file.slice(0, -STATEMENT.length);
    const read = (suffix: string) => readInput(userPath(context, join(directory, `${name}${suffix}`)), SMALL_FILE);
    const path = join(directory, file);
    const bytes = await read(STATEMENT);
    const statement = parseStatement(bytes, path);
    const image = found.images.find(({ manifest }) => subjectProblem(statement, manifest.digest) === null)?.manifest;
    if (image === undefined) throw inputError(path, `is not about ${from.subject} as it is now`);
    const signature = await read(SIGNATURE);
    if (!isSignatureBy(key, toBeSigned(bytes), signature)) {
      throw inputError(
        join(directory, `${name}${SIGNATURE}`),
        `is not a valid signature of ${name}${TO_BE_SIGNED} by ${label}`,
      );
    }
    const bundle = formatBundle(bytes, signature, keyHint(key));
    attestations.push({ name, image, predicateType: statement.predicateType, bundle });
  }
  return { found, attestations };
}
