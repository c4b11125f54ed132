/** Images for lint rules: OCI layouts of layers that are lists of files. */
import { join } from "node:path";
import { seal } from "./cli.ts";
import { type LayoutOptions, writeLayout } from "./layout.ts";
import { makeUki, SPLIT, STUB, signed, type UkiText } from "./lint.ts";
import { type OWN, tarArchive, tarDirectory, tarFile, tarHeader } from "./tar.ts";
import { tempDir } from "./temp.ts";
import type { MemoryFiles } from "./tree.ts";

export const LAYER_TIME = 1_700_000_000;

/** A layer with these files, and an entry for each directory above them. */
export function tarLayer(files: MemoryFiles, given: Partial<typeof OWN> & { readonly mtime?: number } = {}): Buffer {
  const fields = { mtime: LAYER_TIME, ...given };
  const parts = new Map<string, Buffer>();
  for (const [path, file] of Object.entries(files)) {
    const names = path.split("/");
    for (let depth = 1; depth < names.length + (file === null ? 1 : 0); depth++) {
      const above = names.slice(0, depth).join("/");
      parts.set(above, parts.get(above) ?? tarDirectory(`${above}/`, fields));
    }
    if (file === null) continue;
    if (typeof file === "string" || file instanceof Uint8Array)
      parts.set(path, tarFile(path, Buffer.from(file), fields));
    else if ("link" in file)
      parts.set(path, tarHeader({ ...fields, name: path, type: "2", link: file.link, mode: 0o777 }));
    else throw new Error("plain files only");
  }
  return tarArchive(tarDirectory("./", fields), ...parts.values());
}

/** A whiteout for each path. */
export function tarWhiteouts(...paths: readonly string[]): Buffer {
  return tarArchive(...paths.map((path) => tarHeader({ name: path.replace(/[^/]+$/, ".wh.$&"), mtime: LAYER_TIME })));
}

/** Writes a layout and gives its reference. */
export function image(layers: readonly Uint8Array[], options: LayoutOptions = {}): string {
  const path = join(tempDir(), "layout");
  writeLayout(path, layers, { labels: { "containers.bootc": "1" }, ...options });
  return `oci:${path}`;
}

interface SealOptions {
  readonly uki?: UkiText;
  /** Arguments of compute-digest. */
  readonly digest?: readonly string[];
  /** Of the /boot. */
  readonly owner?: Partial<typeof OWN>;
}

/** The layers of an image whose UKI demands the digest of what the layers give. */
export async function sealedLayers(
  layers: readonly Uint8Array[] = [tarLayer(SPLIT)],
  { uki = {}, digest = [], owner = {} }: SealOptions = {},
): Promise<Uint8Array[]> {
  const { stdout, stderr } = await seal(["compute-digest", image(layers), "--karg", ...digest]);
  if (stderr !== "") throw new Error(stderr);
  const loader = await signed(STUB);
  const files = {
    "boot/EFI/Linux/6.12.1.efi": await signed(makeUki({ cmdline: `${stdout.trim()} rw`, ...uki })),
    "boot/EFI/BOOT/BOOTX64.EFI": loader,
    "boot/EFI/systemd/systemd-bootx64.efi": loader,
    "boot/loader/loader.conf": "timeout 3\n",
  };
  return [...layers, tarLayer(files, owner)];
}

export interface JsonReport {
  readonly findings: readonly { id: string; severity: string; path: string; message: string; fix: string }[];
  readonly passed: readonly string[];
  readonly notApplicable: readonly { id: string; reason: string }[];
  readonly couldNotRun: readonly unknown[];
}

/** The report of `seal lint --json`. */
export async function lintReport(...args: readonly string[]): Promise<JsonReport & { readonly code: number }> {
  const { stdout, stderr, code } = await seal(["lint", ...args, "--json"]);
  if (stdout === "") throw new Error(stderr);
  return { ...(JSON.parse(stdout) as JsonReport), code };
}
