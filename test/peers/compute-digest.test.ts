/** Digests of real and random directories beside those of the peers. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { campaign } from "../support/campaign.ts";
import { seal } from "../support/cli.ts";
import { describeWith, realRootfs, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";

const FORMATS = ["v0", "v1", "v2"] as const;
const TRANSFORMS = { boot: ["--bootable"], oci: [], none: ["--no-propagate-usr-to-root"] } as const;

type Cfsctl = "cfsctl" | "cfsctl-0.9.0";

/** A release of bootc whose rules these are. */
const RELEASES = { cfsctl: "1.17.5", "cfsctl-0.9.0": "1.16.11" } as const satisfies Record<Cfsctl, string>;

function cfsctl(
  path: string,
  format: string,
  algorithm: string,
  flags: readonly string[],
  command = "compute-id",
  peer: Cfsctl = "cfsctl",
): string {
  const options = ["--no-repo", "--hash", algorithm, "--erofs-version", format.slice(1)];
  const result = runPeer(peer, [...options, command, ...flags, path]);
  if (result.status !== 0) throw new Error(result.stderr);
  return result.stdout.toString("latin1");
}

async function own(path: string, algorithm: string, transform: string, ...more: string[]): Promise<string> {
  const release = more.includes("--bootc") ? [] : ["--bootc", RELEASES.cfsctl];
  const options = [...release, "--mtime", "exact", "--algorithm", algorithm, "--transform", transform, ...more];
  const { code, stdout, stderr } = await seal(["compute-digest", path, ...options]);
  if (code !== 0) throw new Error(stderr);
  return stdout;
}

const allFormats = FORMATS.flatMap((format) => ["--erofs", format]);

describeWith(["cfsctl", "rootfs"], "the real root filesystem", () => {
  const cases = [
    ["sha512", "boot"],
    ["sha512", "oci"],
    ["sha512", "none"],
    ["sha256", "boot"],
  ] as const;
  for (const [algorithm, transform] of cases) {
    it(`has the digests that cfsctl computes: ${algorithm}, ${transform}`, async () => {
      const path = realRootfs() ?? "";
      const expected = FORMATS.map((format) => cfsctl(path, format, algorithm, TRANSFORMS[transform]).trim());
      expect((await own(path, algorithm, transform, ...allFormats)).trim().split("\n")).toEqual(expected);
    });
  }

  it("has the dump file that cfsctl writes", async () => {
    const path = realRootfs() ?? "";
    const dump = join(tempDir(), "dump");
    await own(path, "sha512", "boot", "--write-dumpfile-to", dump);
    const expected = cfsctl(path, "v1", "sha512", ["--bootable"], "create-dumpfile");
    expect(execFileSync("cat", [dump], { maxBuffer: 1 << 28 }).toString("latin1") === expected).toBe(true);
  });
});

describeWith(["mkcomposefs", "rootfs"], "the real root filesystem, by mkcomposefs", () => {
  it("has the digest that the C implementation computes, hardlinks aside", async () => {
    // mkcomposefs makes a file of every name of a hardlink; a copy has none, and lies where the peer can see it.
    const path = join(tempDir(), "etc");
    cpSync(join(realRootfs() ?? "", "etc"), path, {
      recursive: true,
      preserveTimestamps: true,
      verbatimSymlinks: true,
    });
    const { stdout } = runPeer("mkcomposefs", ["--print-digest-only", "--min-version=1", path]);
    expect((await own(path, "sha256", "none", "--erofs", "v1")).trim()).toBe(stdout.toString().trim());
  });
});

/** What a random tree is made of. */
type Item =
  | { readonly kind: "file"; readonly name: string; readonly size: number; readonly mode: number }
  | { readonly kind: "link"; readonly name: string; readonly target: string }
  | { readonly kind: "hardlink"; readonly name: string }
  | { readonly kind: "directory"; readonly name: string; readonly items: readonly Item[] };

/** Names as latin1; composefs-rs and C take any bytes. */
const name = fc
  .uint8Array({ minLength: 1, maxLength: 20 })
  .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 || byte === 0x2f ? 0x78 : byte))).toString("latin1"))
  .filter((text) => text !== "." && text !== "..");
const size = fc.oneof(fc.nat(70), fc.nat(10_000), fc.constantFrom(64, 65, 4096, 4097, 262_144, 262_145, 300_000));
const { item } = fc.letrec<{ item: Item }>((tie) => ({
  item: fc.oneof(
    { maxDepth: 4, depthSize: "medium" },
    fc.record({ kind: fc.constant("file" as const), name, size, mode: fc.nat(0o7777) }),
    fc.record({ kind: fc.constant("link" as const), name, target: name }),
    fc.record({ kind: fc.constant("hardlink" as const), name }),
    fc.record({ kind: fc.constant("directory" as const), name, items: fc.array(tie("item"), { maxLength: 12 }) }),
  ),
}));

/** Makes the items, skipping names that are taken. */
function make(directory: Buffer, items: readonly Item[], files: Buffer[]): void {
  const taken = new Set<string>();
  for (const entry of items) {
    if (taken.has(entry.name)) continue;
    taken.add(entry.name);
    const path = Buffer.concat([directory, Buffer.from(`/${entry.name}`, "latin1")]);
    if (entry.kind === "file") {
      writeFileSync(path, Buffer.alloc(entry.size, "content"));
      chmodSync(path, entry.mode);
      files.push(path);
    } else if (entry.kind === "link") symlinkSync(Buffer.from(entry.target, "latin1"), path);
    else if (entry.kind === "hardlink" && files[0] !== undefined) linkSync(files[files.length >> 1] ?? files[0], path);
    else if (entry.kind === "directory") {
      mkdirSync(path);
      make(path, entry.items, files);
    }
    if (entry.kind === "link") lutimesSync(path, entry.target.length * 1e7, entry.target.length * 1.5e7);
  }
}

const CAMPAIGN = campaign(100);

describeWith(["cfsctl", "cfsctl-0.9.0", "root"], "random directories", () => {
  it(
    "have the digests that cfsctl computes, by the rules of its release",
    async () => {
      const parent = tempDir();
      const { parameters, count, report } = CAMPAIGN;
      await fc.assert(
        fc.asyncProperty(
          fc.array(item, { maxLength: 30 }),
          fc.constantFrom("sha512", "sha256"),
          fc.constantFrom<Cfsctl>("cfsctl", "cfsctl-0.9.0"),
          async (items, algorithm, peer) => {
            const path = mkdtempSync(join(parent, "tree-"));
            for (const directory of ["usr", "boot", "sysroot"]) mkdirSync(join(path, directory));
            make(Buffer.from(join(path, "usr")), items, []);
            const expected = FORMATS.map((format) =>
              cfsctl(path, format, algorithm, ["--bootable"], "compute-id", peer).trim(),
            );
            const digests = await own(path, algorithm, "boot", "--bootc", RELEASES[peer], ...allFormats);
            expect(digests.trim().split("\n"), peer).toEqual(expected);
            count("tried", `by ${peer}`);
            rmSync(path, { recursive: true });
          },
        ),
        parameters,
      );
      report("directories against two cfsctl");
    },
    CAMPAIGN.timeout,
  );
});
