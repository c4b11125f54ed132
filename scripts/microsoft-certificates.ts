/**
 * Prints src/sign/microsoft-certificates.ts: Microsoft's certificates for Secure Boot, as Microsoft publishes them.
 *
 *     git clone https://github.com/microsoft/secureboot_objects
 *     node scripts/microsoft-certificates.ts secureboot_objects >src/sign/microsoft-certificates.ts
 */
import { createHash, X509Certificate } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { argv, stdout } from "node:process";

/** Where the certificates of each variable lie. DBX is left out: what it revokes is in DB too. */
const DIRECTORIES = [
  ["PK", "PreSignedObjects/PK/Certificate"],
  ["KEK", "PreSignedObjects/KEK/Certificates"],
  ["db", "PreSignedObjects/DB/Certificates"],
] as const;

const HEAD = `/**
 * Microsoft's certificates for Secure Boot by the SHA-256 of their DER, with the variables that they belong into.
 * Made by scripts/microsoft-certificates.ts from https://github.com/microsoft/secureboot_objects
 * (PreSignedObjects); not to be edited.
 */
export const MICROSOFT_CERTIFICATES: Readonly<Record<string, "PK" | "KEK" | "db">> = {
`;

const [, , directory] = argv;
if (directory === undefined) throw new Error("give a checkout of https://github.com/microsoft/secureboot_objects");
const entries = DIRECTORIES.flatMap(([variable, path]) =>
  readdirSync(join(directory, path))
    .filter((name) => name.endsWith(".der"))
    .map((name) => {
      const { raw, subject, validTo } = new X509Certificate(readFileSync(join(directory, path, name)));
      const commonName = /^CN=(.*)$/m.exec(subject)?.[1] ?? subject;
      const hash = createHash("sha256").update(raw).digest("hex");
      return { variable, commonName, hash, expires: new Date(validTo).getUTCFullYear() };
    })
    .toSorted((a, b) => a.expires - b.expires || (a.commonName < b.commonName ? -1 : 1)),
);
const lines = entries.flatMap(({ variable, commonName, hash, expires }) => [
  `  // ${commonName}, until ${expires}\n`,
  `  ${/^\d/.test(hash) ? `"${hash}"` : hash}: "${variable}",\n`,
]);
stdout.write(`${HEAD}${lines.join("")}};\n`);
