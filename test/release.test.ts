/** How a release is put together; what comes out runs in e2e/release.test.ts. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { writeArchive } from "../scripts/release/archive.ts";
import { nfpmConfiguration, packageName } from "../scripts/release/packages.ts";
import { expectIntegrity, koffiFor, nodeFor } from "../scripts/release/registry.ts";
import runtimes from "../scripts/release/runtimes.json" with { type: "json" };
import { type Sbom, sbomOf } from "../scripts/release/sbom.ts";
import { ARCHITECTURES, OLDEST_GLIBC, TARGETS } from "../scripts/release/targets.ts";
import { launcher, sumsOf, writeTree } from "../scripts/release/tree.ts";
import { tempDir } from "./support/temp.ts";

const project = fileURLToPath(new URL("..", import.meta.url));
const readJson = (name: string) => JSON.parse(readFileSync(join(project, name), "utf8"));
const program = { name: "seal", version: "1.2.3", description: "Seals images: UKI, lint", license: "MIT" };
const time = new Date(1_700_000_000_000);

describe("what is put into a release", () => {
  it("is the node that the project runs on, and the koffi of the lock file", () => {
    const lock = readJson("package-lock.json");
    expect(runtimes.version).toBe(lock.packages["node_modules/node"].version);
    for (const arch of ARCHITECTURES) {
      expect(nodeFor(arch, runtimes)).toEqual({
        name: `node-linux-${arch}`,
        version: runtimes.version,
        integrity: expect.stringMatching(/^sha512-[\w+/]{86}==$/),
      });
      expect(koffiFor(arch, lock)).toMatchObject({ version: lock.packages["node_modules/koffi"].version });
    }
    expect(() => koffiFor("x64", { packages: {} })).toThrow("package-lock.json: has no @koromix/koffi-linux-x64");
  });

  it("has the hash that was noted", () => {
    const bytes = Buffer.from("archive");
    const integrity = `sha512-${createHash("sha512").update(bytes).digest("base64")}`;
    expect(() => expectIntegrity(bytes, integrity, "a@1")).not.toThrow();
    expect(() => expectIntegrity(Buffer.from("another"), integrity, "a@1")).toThrow(
      "a@1: is another file than expected",
    );
  });
});

describe("the launcher", () => {
  it.each(ARCHITECTURES)("is for %s in all its parts", (arch) => {
    const text = launcher(project, arch);
    expect(text).not.toMatch(/@[A-Z]+@/);
    for (const part of [TARGETS[arch].loader, TARGETS[arch].multiarch, `seal-linux-${arch}`, `glibc ${OLDEST_GLIBC}`]) {
      expect(text).toContain(part);
    }
  });
});

describe("an archive", () => {
  it("has the same bytes for the same files, whenever they were written", async () => {
    const [one, other] = await Promise.all(
      [0, 1].map(async (age) => {
        const directory = tempDir();
        const tree = join(directory, "seal-1");
        mkdirSync(join(tree, "b/c"), { recursive: true });
        for (const name of age === 0 ? ["a", "b/c/d"] : ["b/c/d", "a"]) {
          writeFileSync(join(tree, name), name, { mode: name === "a" ? 0o755 : 0o600 });
          utimesSync(join(tree, name), age, age);
        }
        await writeArchive(tree, time, join(directory, "a.tar.gz"));
        return readFileSync(join(directory, "a.tar.gz"));
      }),
    );
    expect(one).toEqual(other);
    const headers = gunzipSync(one ?? "").toString("latin1");
    expect([...headers.matchAll(/seal-1[\w./]*(?=\0)/g)].map(([name]) => name)).toEqual([
      ...["seal-1", "seal-1/b", "seal-1/b/c"],
      ...["seal-1/a", "seal-1/b/c/d"],
    ]);
  });
});

describe("the tree", () => {
  it("has the changelog where Debian looks for it", () => {
    const project = join(import.meta.dirname, "..");
    const output = join(tempDir(), "tree");
    const completions = { bash: "", zsh: "", fish: "" };
    const executable = join(project, "LICENSE");
    writeTree({ arch: "x64", project, executable, pages: tempDir(), documents: {}, completions }, output);
    const changelog = gunzipSync(readFileSync(join(output, "share/doc/seal/changelog.gz")));
    expect(changelog).toEqual(readFileSync(join(project, "CHANGELOG.md")));
  });
});

describe("sums", () => {
  it("are lines as sha256sum reads them", () => {
    const directory = tempDir();
    writeFileSync(join(directory, "empty"), "");
    expect(sumsOf(directory, ["empty"])).toBe(
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  empty\n",
    );
  });
});

describe("packages", () => {
  it("are called as Debian and RPM call theirs", () => {
    expect(packageName(program, "arm64", "deb")).toBe("seal_1.2.3_arm64.deb");
    expect(packageName(program, "arm64", "rpm")).toBe("seal-1.2.3-1.aarch64.rpm");
  });

  it("have descriptions in lines that fit a terminal", () => {
    const words = Array.from({ length: 30 }, () => "signatures,").join(" ");
    const long = { ...program, description: `Seals images: ${words}` };
    const { description } = nfpmConfiguration(long, "x64", tempDir(), time) as { readonly description: string };
    const [summary, ...lines] = description.split("\n");
    expect(summary).toBe("Seals images");
    expect(lines.join(" ")).toBe(words);
    expect(lines.filter((line) => line.length > 72)).toEqual([]);
  });

  it("install the tree below /usr, need the oldest C library, and are dated", () => {
    const tree = tempDir();
    mkdirSync(join(tree, "bin"));
    writeFileSync(join(tree, "bin/seal"), "", { mode: 0o700 });
    expect(nfpmConfiguration(program, "arm64", tree, time)).toMatchObject({
      arch: "arm64",
      description: "Seals images\nUKI, lint",
      rpm: { summary: "Seals images" },
      mtime: "2023-11-14T22:13:20.000Z",
      contents: expect.arrayContaining([
        {
          src: join(tree, "bin/seal"),
          dst: "/usr/bin/seal",
          file_info: { mode: 0o755, mtime: "2023-11-14T22:13:20.000Z" },
        },
      ]),
      overrides: { deb: { depends: expect.arrayContaining([`libc6 (>= ${OLDEST_GLIBC})`]) } },
    });
  });
});

describe("the bill of materials", () => {
  const part = (name: string) => ({ "bom-ref": `${name}@1`, name, version: "1" });
  const sbom: Sbom = {
    serialNumber: "urn:uuid:1",
    metadata: { timestamp: "2026-01-01T00:00:00.000Z", component: part("folder") },
    components: [part("zod"), part("@koromix/koffi-linux-x64"), part("@koromix/koffi-win32-x64")],
    dependencies: [
      { ref: "folder@1", dependsOn: ["zod@1"] },
      { ref: "zod@1", dependsOn: [] },
      { ref: "@koromix/koffi-win32-x64@1", dependsOn: [] },
      { ref: "@koromix/koffi-linux-x64@1", dependsOn: ["@koromix/koffi-win32-x64@1"] },
    ],
  };

  it("has node and the native code of one machine, and nothing of the run that made it", () => {
    const bill = sbomOf(sbom, { node: "24.0.0", native: "@koromix/koffi-linux-x64", time });
    expect(bill).not.toHaveProperty("serialNumber");
    expect(bill.metadata).toMatchObject({ timestamp: "2023-11-14T22:13:20.000Z", component: { name: "seal" } });
    expect(bill.components.map(({ name }) => name)).toEqual(["zod", "@koromix/koffi-linux-x64", "node"]);
    expect(bill.dependencies).toEqual([
      { ref: "folder@1", dependsOn: ["zod@1", "node@24.0.0"] },
      { ref: "zod@1", dependsOn: [] },
      { ref: "@koromix/koffi-linux-x64@1", dependsOn: [] },
      { ref: "node@24.0.0", dependsOn: [] },
    ]);
  });
});
