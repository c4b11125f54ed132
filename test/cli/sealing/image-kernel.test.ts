/** The kernel of an image is examined on another thread, and nothing else comes out of that. */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { afterEach, expect, it, vi } from "vitest";
import type * as Threads from "../../../src/io/thread.ts";
import { seal } from "../../support/cli.ts";
import { cpioArchive } from "../../support/cpio.ts";
import { KVER, MODULES, SIGNING, snapshot } from "../../support/inputs.ts";
import { writeLayout } from "../../support/layout.ts";
import { sealableLayers } from "../../support/sealable.ts";
import { tarArchive, tarFile } from "../../support/tar.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";

/** What was asked, and whether an answer came. */
const asked = vi.hoisted(() => ({ kinds: [] as string[], isAnswered: true }));

vi.mock("../../../src/io/thread.ts", async (importOriginal) => {
  const original = await importOriginal<typeof Threads>();
  return {
    ...original,
    askThread: async (file: URL, question: { kind: string }) => {
      asked.kinds.push(question.kind);
      return asked.isAnswered ? original.askThread(file, question) : null;
    },
  };
});

afterEach(() => {
  asked.kinds = [];
  asked.isAnswered = true;
});

/** An image with an initramfs that a thread is worth starting for. */
function workspace(initramfs: Uint8Array): string {
  const cwd = tempDir();
  const time = { mtime: 1_600_000_000 };
  const layers = [...sealableLayers(), tarArchive(tarFile(`${MODULES}/${KVER}/initramfs.img`, initramfs, time))];
  writeLayout(join(cwd, "in"), layers, { tag: "1" });
  for (const kind of ["key", "crt"]) writeFileSync(join(cwd, `db.${kind}`), vector(`authenticode/keys/signer.${kind}`));
  return cwd;
}

async function sealImage(cwd: string, to: string) {
  const args = ["--from", "oci:in:1", "--to", `oci:${to}`, "--platform", "linux/amd64", ...SIGNING];
  const { code, stdout, stderr } = await seal(["image", ...args, "--json"], { cwd });
  expect(code, stderr).toBe(0);
  const report = JSON.parse(stdout.replaceAll(`oci:${to}`, "oci:out"));
  return { report, files: snapshot(join(cwd, to)).map((line) => line.replace(join(cwd, to), "")) };
}

it.each([
  ["an archive", zstdCompressSync(cpioArchive([{ name: "noise", content: randomBytes(9 << 20) }])), /nothing in the/],
  ["damaged", Buffer.concat([Buffer.from("0707010"), randomBytes(9 << 20)]), /its initramfs can't be unpacked: /],
] as const)("an initramfs that is %s gives the same as without a thread", async (_, initramfs, says) => {
  const cwd = workspace(initramfs);
  const ahead = await sealImage(cwd, "ahead");
  expect(asked.kinds).toEqual(["memory"]);
  asked.isAnswered = false;
  expect(await sealImage(cwd, "without")).toEqual(ahead);
  expect(asked.kinds).toEqual(["memory", "memory"]);
  expect(JSON.stringify(ahead.report.hosts)).toMatch(says);
});

it("a small initramfs is not worth a thread", async () => {
  const small = workspace(cpioArchive([{ name: "noise", content: randomBytes(1 << 20) }]));
  await sealImage(small, "out");
  expect(asked.kinds).toEqual([]);
});
