import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { writeSampleTree } from "../../examples/demo/sample-tree.ts";
import { findComposefsDigests, findComposefsWords } from "../../src/boot/cmdline.ts";
import type { Chunks } from "../../src/chunks.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { parseCertificate } from "../../src/sign/certificate.ts";
import { openKeyFile } from "../../src/sign/key-file.ts";
import { seal } from "../support/cli.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

// The functions themselves, counted.
vi.mock("../../src/boot/cmdline.ts", async (original) => {
  const actual = await original<typeof import("../../src/boot/cmdline.ts")>();
  return {
    ...actual,
    findComposefsDigests: vi.fn(actual.findComposefsDigests),
    findComposefsWords: vi.fn(actual.findComposefsWords),
  };
});
vi.mock("../../src/pe/headers.ts", async (original) => {
  const actual = await original<typeof import("../../src/pe/headers.ts")>();
  return { ...actual, parsePe: vi.fn(actual.parsePe) };
});
vi.mock("../../src/sign/certificate.ts", async (original) => {
  const actual = await original<typeof import("../../src/sign/certificate.ts")>();
  return { ...actual, parseCertificate: vi.fn(actual.parseCertificate) };
});
vi.mock("../../src/sign/key-file.ts", async (original) => {
  const actual = await original<typeof import("../../src/sign/key-file.ts")>();
  return { ...actual, openKeyFile: vi.fn(actual.openKeyFile) };
});

function sha256(bytes: Chunks): string {
  const hash = createHash("sha256");
  for (const chunk of bytes) hash.update(chunk);
  return hash.digest("hex");
}

/** How often each of them occurs. */
function counts(values: readonly string[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const value of values) found[value] = (found[value] ?? 0) + 1;
  return found;
}

beforeEach(() => vi.clearAllMocks());

describe.each([
  ["seal rootfs", ["rootfs", "root", "--output", "out"]],
  ["seal image", ["image", "--from", "dir:root", "--to", "oci:out:1"]],
])("%s parses what it is given once", (_, args) => {
  it("certificates, keys, EFI programs and the command line", async () => {
    const cwd = tempDir();
    writeSampleTree(join(cwd, "root"));
    for (const name of ["signer.key", "signer.crt"]) {
      writeFileSync(join(cwd, name), vector(`authenticode/keys/${name}`));
    }
    writeFileSync(join(cwd, "pcr.key"), vector("uki/inputs/pcr.key"));
    const keys = ["--key", "signer.key", "--cert", "signer.crt", "--pcr-private-key", "pcr.key"];
    const { code, stdout } = await seal([...args, ...keys, "--json"], { cwd });
    expect(code).toBe(0);

    expect(vi.mocked(parseCertificate).mock.calls.map(([{ label }]) => label)).toEqual(["signer.crt"]);
    expect(vi.mocked(openKeyFile).mock.calls.map(([, subject]) => subject)).toEqual(["signer.key", "pcr.key"]);
    // The file that came in and the one that signing made of it are two: each is parsed, and none twice.
    const images = counts(
      vi.mocked(parsePe).mock.calls.map(([file, subject]) => `${subject.replace(/.*\//, "")} ${sha256(file)}`),
    );
    expect(images).toEqual(Object.fromEntries(Object.keys(images).map((image) => [image, 1])));
    expect(counts(Object.keys(images).map((image) => image.replace(/ .*/, "")))).toEqual({
      vmlinuz: 2,
      "linuxx64.efi.stub": 1,
      "systemd-bootx64.efi": 2,
      "6.1.0-sample.efi": 2,
    });
    const { cmdline } = JSON.parse(stdout);
    const searched = [findComposefsWords, findComposefsDigests].flatMap((find) => vi.mocked(find).mock.calls.flat());
    expect(searched.filter((text) => text === cmdline)).toHaveLength(1);
  });
});
