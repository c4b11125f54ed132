import { displayBytes, equalBytes } from "../../bytes.ts";
import { contentSize, type RegularFile } from "../../tree/node.ts";
import type { Rootfs } from "../../tree/rootfs.ts";
import { displayPath, type Place, walk } from "../files.ts";
import { checked, type Problem, type Rule } from "../rule.ts";

/** A private key is smaller, also with certificates and comments beside it. */
const MAX_BYTES = 64n << 10n;
/** OpenSSL's smallest PKCS#8 keys (Ed25519) have 48 bytes. */
const MIN_BYTES = 40n;
/** Names that keys have, wherever they lie. */
const KEY_NAME = /(?:\.(?:key|pem|p12|pfx|pk8|p8|der|jks|gpg|asc)|^id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?|_key)$/i;

const PEM = /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----\r?\n/;
/** Behind the version 0 of PKCS#8 (RFC 5958): AlgorithmIdentifiers of rsaEncryption, id-ecPublicKey and Ed25519. */
const PKCS8_ALGORITHMS = ["300d06092a864886f70d010101", "301306072a8648ce3d0201", "300506032b6570"].map((hex) =>
  Buffer.from(hex, "hex"),
);
/** PKCS#12 (RFC 7292): version 3 and a ContentInfo of the type data. */
const PKCS12 = Buffer.from("0201033082", "hex");

export const secretsRule: Rule = {
  id: "secrets",
  severity: "error",
  finds: "a private key in the tree",
  applies: "any",
  check: async ({ rootfs }) => {
    const problems: Problem[] = [];
    for (const place of candidates(rootfs)) {
      const kind = keyKind(await read(rootfs, place));
      if (kind === null) continue;
      problems.push({
        path: displayPath(place.components),
        message: `It holds ${kind}: everybody who gets the image has it, and every machine the same.`,
        fix: "remove it in the step that makes it (a later layer only hides it), and treat it as leaked: make another. Give keys to a build as secrets (RUN --mount=type=secret).",
      });
    }
    return checked(...problems);
  },
};

interface FilePlace extends Place {
  readonly node: RegularFile;
}

/** Files that may be keys: by their name below /usr, where packages put thousands of other small files; by their size elsewhere. */
function* candidates(rootfs: Rootfs): Generator<FilePlace> {
  const seen = new Set<RegularFile>();
  for (const { components, node } of walk(rootfs, "")) {
    if (node.kind !== "regular" || seen.has(node)) continue;
    const size = contentSize(node);
    if (size < MIN_BYTES || size > MAX_BYTES) continue;
    const [top, ...rest] = components.map(displayBytes);
    const name = rest.at(-1) ?? top ?? "";
    // Packages bring examples with their documentation.
    if (top === "usr" && (!KEY_NAME.test(name) || (rest[0] === "share" && rest[1] === "doc"))) continue;
    seen.add(node);
    yield { components, node };
  }
}

async function read(rootfs: Rootfs, { components, node }: FilePlace): Promise<Uint8Array> {
  return node.content.kind === "inline" ? node.content.bytes : rootfs.readContent(components, node);
}

/** What kind of private key it is; null when it is none. */
function keyKind(bytes: Uint8Array): string | null {
  const header = PEM.exec(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1"));
  if (header !== null) {
    return header[0].includes("ENCRYPTED") ? "an encrypted private key" : "a private key";
  }
  if (bytes[0] !== 0x30) return null;
  const body = bytes.subarray(derHeaderLength(bytes));
  const version0 = body[0] === 0x02 && body[1] === 1 && body[2] === 0;
  if (version0 && PKCS8_ALGORITHMS.some((algorithm) => startsWith(body.subarray(3), algorithm)))
    return "a private key (DER)";
  return startsWith(body, PKCS12) ? "a PKCS#12 container, which is for private keys" : null;
}

/** Bytes of tag and length. */
function derHeaderLength(bytes: Uint8Array): number {
  const length = bytes[1] ?? 0;
  return length < 0x80 ? 2 : 2 + (length & 0x7f);
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return bytes.length >= prefix.length && equalBytes(bytes.subarray(0, prefix.length), prefix);
}
