/**
 * in-toto statements (in-toto Attestation Framework 1.1, "Statement"): a predicate, and the digest of what it is about.
 * Here that is the manifest of one image.
 */
import { z } from "zod";
import { utf8 } from "../bytes.ts";
import { inputError } from "../errors.ts";
import { type BlobDigest, formatBlobDigest } from "../oci/digest.ts";
import { parseLimitedJson } from "./json.ts";

/** What DSSE calls a statement. */
export const STATEMENT_MEDIA_TYPE = "application/vnd.in-toto+json";
const STATEMENT_TYPE = "https://in-toto.io/Statement/v1";
/** The same fields under an older name, which cosign writes (3.1.1 does). */
const OLD_STATEMENT_TYPE = "https://in-toto.io/Statement/v0.1";

const subjectSchema = z.strictObject({ name: z.string().optional(), digest: z.record(z.string(), z.string()) });

const statementSchema = z.strictObject({
  _type: z.enum([STATEMENT_TYPE, OLD_STATEMENT_TYPE]),
  subject: z.array(subjectSchema).min(1),
  predicateType: z.string().min(1),
  // An absent one counts as empty (in-toto Statement v1, "predicate").
  predicate: z.unknown().default({}),
});

/** A statement as it was signed. */
export interface Statement {
  readonly subject: readonly z.infer<typeof subjectSchema>[];
  /** A URI with a version in it. */
  readonly predicateType: string;
  /** Not checked yet. */
  readonly predicate: unknown;
}

/** The bytes of a statement about one image: the same one gives the same bytes. */
export function formatStatement(image: BlobDigest, predicateType: string, predicate: unknown): Uint8Array {
  const subject = [{ name: formatBlobDigest(image), digest: { [image.algorithm]: image.hex } }];
  return utf8(JSON.stringify({ _type: STATEMENT_TYPE, subject, predicateType, predicate }));
}

/**
 * Reads a statement. Fields unknown to the framework are refused, because they would not be compared.
 * @param subject names it in messages
 * @throws SealError `input`
 */
export function parseStatement(bytes: Uint8Array, subject: string): Statement {
  const parsed = statementSchema.safeParse(parseLimitedJson(bytes, subject));
  if (parsed.success) return parsed.data;
  throw inputError(subject, `is not an in-toto statement: ${firstIssue(parsed.error)}`);
}

/** Where a document is not what it should be, and how. */
export function firstIssue({ issues: [issue] }: z.ZodError): string {
  const place = issue?.path.join(".") ?? "";
  return `${place === "" ? "" : `${place}: `}${issue?.message ?? ""}`;
}

/**
 * Why a statement is not about an image; null if it is. A statement with several subjects must not be about any other
 * image.
 */
export function subjectProblem({ subject }: Statement, image: BlobDigest): string | null {
  const other = subject.find(
    ({ name, digest }) =>
      digest[image.algorithm] !== image.hex ||
      Object.keys(digest).length !== 1 ||
      // A name may be anything but the digest of something else.
      (name !== undefined && /^sha(?:256|512):/.test(name) && name !== formatBlobDigest(image)),
  );
  if (other === undefined) return null;
  const [[algorithm, hex] = []] = Object.entries(other.digest);
  return `is about ${other.name ?? `${algorithm}:${hex}`}, not about this image, ${formatBlobDigest(image)}`;
}
