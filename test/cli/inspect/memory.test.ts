/** How much memory `seal inspect` needs: as much for a large initramfs as for a small one. */
import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { peReportSchema } from "../../../src/cli/inspect/pe-report.ts";
import { writeOutput } from "../../../src/io/files.ts";
import { parsePe } from "../../../src/pe/headers.ts";
import { assembleUki } from "../../../src/pe/uki.ts";
import { cpioEntry } from "../../support/cpio.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";

const PROGRAM = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));
/** Prints the peak of the resident memory, in KiB. */
const TELL = "data:text/javascript,process.on('exit',()=>process.stderr.write('peak '+process.resourceUsage().maxRSS))";

const ENTRIES = 400;
const entry = cpioEntry({ name: "usr/lib/modules/x/a.ko", content: Buffer.alloc(1 << 20, "module") });
const initramfs = [
  ...Array.from({ length: ENTRIES }, () => entry),
  cpioEntry({ name: "etc/initrd-release", content: Buffer.from("ID=x\n") }),
  cpioEntry({ name: "TRAILER!!!", mode: 0 }),
];

async function inspected(name: string, initrd: readonly Uint8Array[]) {
  const file = join(tempDir(), name);
  const sections = [
    { name: ".linux", content: [vector("uki/inputs/kernel-sbat")] },
    { name: ".initrd", content: initrd },
  ];
  await writeOutput(file, assembleUki(parsePe([vector("uki/inputs/stub-plain")], "stub"), sections));
  const args = [process.execPath, "--no-warnings", "--import", TELL, PROGRAM, "inspect", file, "--json"];
  // A process starts with the memory that its parent has used; the shell is a small one.
  const { stdout, stderr } = spawnSync("sh", ["-c", '"$@"; :', "sh", ...args], { encoding: "utf8" });
  const [, peak] = /^peak (\d+)$/.exec(stderr) ?? [];
  expect(peak, stderr).toBeDefined();
  return {
    report: peReportSchema.parse(JSON.parse(stdout)),
    peak: Number(peak) * 1024,
    size: statSync(file).size,
  };
}

it("seal inspect of 400 MiB needs hardly more memory than of nothing", async () => {
  const small = await inspected("small.efi", initramfs.slice(-2));
  const large = await inspected("large.efi", initramfs);
  expect(large.size).toBeGreaterThan(ENTRIES << 20);
  expect(large.report.initramfs).toMatchObject([{ archives: [{ entries: ENTRIES + 1 }], files: 2, problem: null }]);
  expect(large.peak - small.peak).toBeLessThan(100 << 20);
});
