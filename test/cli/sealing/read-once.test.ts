import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, it, vi } from "vitest";
import { utf8 } from "../../../src/bytes.ts";
import type * as Layers from "../../../src/io/oci/layer.ts";
import { seal } from "../../support/cli.ts";
import { KVER, MODULES, SIGNING } from "../../support/inputs.ts";
import { writeLayout } from "../../support/layout.ts";
import { sealableLayers } from "../../support/sealable.ts";
import { tarArchive, tarDirectory, tarFile } from "../../support/tar.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";

/** How often each layer was unpacked. */
const unpacked = vi.hoisted(() => new Map<string, number>());

vi.mock("../../../src/io/oci/layer.ts", async (importOriginal) => {
  const original = await importOriginal<typeof Layers>();
  return {
    ...original,
    unpackLayer: (...args: Parameters<typeof Layers.unpackLayer>) => {
      const [{ file }] = args;
      unpacked.set(file.path, (unpacked.get(file.path) ?? 0) + 1);
      return original.unpackLayer(...args);
    },
  };
});

afterEach(() => unpacked.clear());

/** Larger than what is kept of every file. */
const LONG = 100_000;

function elf(): Buffer {
  const bytes = Buffer.alloc(LONG);
  bytes.write("\x7fELF\x02\x01\x01", "latin1");
  bytes.writeUInt16LE(62, 18);
  return bytes;
}

/** An image with the files that verbs look into, all of them long. */
function workspace(): string {
  const cwd = tempDir();
  const status = `Package: bootc\nStatus: install ok installed\nVersion: 1.16.9-1\n\n${"x".repeat(LONG)}\n`;
  const directories = ["var", "var/lib", "var/lib/dpkg", "usr", "usr/lib", "usr/lib/systemd", MODULES];
  const kernel = tarArchive(
    ...[...directories, `${MODULES}/${KVER}`].map((name) => tarDirectory(`${name}/`)),
    tarFile(`${MODULES}/${KVER}/vmlinuz`, vector("uki/inputs/kernel")),
    tarFile(`${MODULES}/${KVER}/initramfs.img`, vector("uki/inputs/initrd-2")),
    tarFile("var/lib/dpkg/status", utf8(status)),
    tarFile("usr/lib/systemd/systemd", elf()),
    tarFile(`${MODULES}/${KVER}/modules.dep`, Buffer.alloc(LONG, "\n")),
    tarFile(`${MODULES}/${KVER}/modules.builtin`, Buffer.alloc(LONG, "\n")),
  );
  writeLayout(join(cwd, "in"), [...sealableLayers().slice(0, 1), kernel], { tag: "1" });
  for (const kind of ["key", "crt"]) writeFileSync(join(cwd, `db.${kind}`), vector(`authenticode/keys/signer.${kind}`));
  return cwd;
}

it("no layer is unpacked twice, neither to seal an image nor to lint it", async () => {
  const cwd = workspace();
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await seal([...args, "--platform", "linux/amd64", "--json"], { cwd });
    expect(code, stderr).toBeLessThan(2);
    const counts = [...unpacked.values()];
    unpacked.clear();
    return { counts, report: JSON.parse(stdout) };
  };
  const image = await run("image", "--from", "oci:in:1", "--to", "oci:out", ...SIGNING);
  // Two layers, and the two that were added to them: what the carried ones hold is known by their digests.
  expect(image.counts).toEqual([1, 1, 1, 1]);
  expect(image.report.hosts.length).toBeGreaterThan(0);
  const lint = await run("lint", "oci:out");
  expect(lint.counts).toEqual([1, 1, 1, 1]);
  const split = await run("build-uki", "--from", "oci:in:1", "--output", "out.efi");
  expect(split.counts).toEqual([1, 1]);
});
