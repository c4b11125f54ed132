/** What is installed, as files below a prefix such as /usr: the contents of the archive and of the packages. */
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { type Architecture, TARGETS } from "./targets.ts";

/** What goes into the tree besides files of the project. */
export interface Contents {
  readonly arch: Architecture;
  /** The project, built. */
  readonly project: string;
  readonly executable: string;
  /** The directory of the man pages. */
  readonly pages: string;
  /** Texts by the name that they get beside the documentation. */
  readonly documents: Readonly<Record<string, string>>;
  /** Completion scripts by the name of their shell. */
  readonly completions: Readonly<Record<Shell, string>>;
}

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** Where shells look for what completes `seal`. */
const COMPLETIONS: Readonly<Record<Shell, string>> = {
  bash: "share/bash-completion/completions/seal",
  zsh: "share/zsh/site-functions/_seal",
  fish: "share/fish/vendor_completions.d/seal.fish",
};
/** Where texts about it lie. */
export const DOCUMENTATION = "share/doc/seal";
/** Its sums, beside the documentation; names in it start at the prefix. */
export const SUMS = `${DOCUMENTATION}/SHA256SUMS`;

/** Writes the tree into a directory that is made anew. */
export function writeTree(
  { arch, project, executable, pages, documents, completions }: Contents,
  output: string,
): void {
  rmSync(output, { recursive: true, force: true });
  const write = (path: string, data: string | Uint8Array, mode = 0o644) => {
    mkdirSync(dirname(join(output, path)), { recursive: true });
    writeFileSync(join(output, path), data, { mode });
  };
  write("bin/seal", launcher(project, arch), 0o755);
  mkdirSync(join(output, "lib/seal"), { recursive: true });
  copyFileSync(executable, join(output, `lib/seal/seal-linux-${arch}`));
  for (const shell of SHELLS) write(COMPLETIONS[shell], completions[shell]);
  for (const name of ["LICENSE", "README.md"]) write(`${DOCUMENTATION}/${name}`, readFileSync(join(project, name)));
  // Debian's name for it (Debian Policy, 12.7).
  write(`${DOCUMENTATION}/changelog.gz`, gzipSync(readFileSync(join(project, "CHANGELOG.md")), { level: 9 }));
  for (const [name, text] of Object.entries(documents)) write(`${DOCUMENTATION}/${name}`, text);
  for (const page of filesBelow(pages)) {
    // Packages have them so, and man reads them so.
    write(`share/man/${page}.gz`, gzipSync(readFileSync(join(pages, page)), { level: 9 }));
  }
  write(SUMS, sumsOf(output, filesBelow(output)));
}

/** The script that a user starts. */
export function launcher(project: string, arch: Architecture): string {
  const { machine, loader, multiarch } = TARGETS[arch];
  const values = { ARCH: arch, LOADER: loader, MULTIARCH: multiarch, MACHINE: machine };
  return Object.entries(values).reduce(
    (text, [name, value]) => text.replaceAll(`@${name}@`, value),
    readFileSync(join(project, "scripts/release/launcher.sh"), "utf8"),
  );
}

/** The names of all files below a directory, sorted. */
export function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(directory, join(entry.parentPath, entry.name)))
    .sort();
}

/** Lines as `sha256sum --check` reads them. */
export function sumsOf(directory: string, names: readonly string[]): string {
  const sum = (name: string) =>
    createHash("sha256")
      .update(readFileSync(join(directory, name)))
      .digest("hex");
  return names.map((name) => `${sum(name)}  ${name}\n`).join("");
}
