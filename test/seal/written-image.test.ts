import { readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { composefsDigests, type DigestHex, type TreeDigest } from "../../src/composefs/digest.ts";
import { parseImageTarget } from "../../src/io/oci/image-target.ts";
import { LayerMemory } from "../../src/io/oci/layer-memory.ts";
import { WrittenHasher } from "../../src/io/oci/written-contents.ts";
import { digestRootfs } from "../../src/seal/digest.ts";
import { planDigest } from "../../src/seal/digest-plan.ts";
import { QUIET } from "../../src/seal/ports.ts";
import { checkSealedImage } from "../../src/seal/written-image.ts";
import { seal } from "../support/cli.ts";
import { writeLayout } from "../support/layout.ts";
import { sealableLayers } from "../support/sealable.ts";
import { tarArchive, tarDirectory, tarFile } from "../support/tar.ts";
import { tempDir } from "../support/temp.ts";

const PLATFORM = ["--platform", "linux/amd64"];

/** An image, and a function that checks it for digests. */
async function written() {
  const cwd = tempDir();
  // What is in /boot is in one of the two trees only.
  writeLayout(join(cwd, "out"), [
    ...sealableLayers(),
    tarArchive(tarDirectory("boot"), tarFile("boot/file", utf8("x"))),
  ]);
  const compute = async (...args: string[]) =>
    (await seal(["compute-digest", "oci:out", ...PLATFORM, ...args], { cwd })).stdout.trim();
  const digest = await compute();
  const merged = await compute("--transform", "oci", "--bootc", "1.17.5");
  const plan = planDigest({ platform: "linux/amd64" });
  const place = { kind: "oci", path: join(cwd, "out") } as const;
  const check = (
    digests: readonly string[],
    wanted: string,
    memory = new LayerMemory(),
    known: readonly TreeDigest[] = [],
  ) => {
    const expected = digests.map((one) => ({ digest: one }));
    const all = { digests: expected, merged: { digest: wanted }, plan, memory, known, sealed: null };
    return checkSealedImage(parseImageTarget("oci:place:tag", "--to", cwd), place, all, { ...QUIET, cwd });
  };
  return { cwd, digest, merged, plan, check };
}

describe("an image that is read back", () => {
  it("must have the digests that it was sealed with", async () => {
    const { digest, merged, check } = await written();
    await check([digest], merged);
    const other = digest.replaceAll("0", "1");
    await expect(check([other], merged)).rejects.toThrow(/^oci:place:tag: read back, the image has the digests /);
    await expect(check([digest, other], merged)).rejects.toThrow(other);
    await expect(check([digest], other)).rejects.toThrow(other);
    // Which is a bug, and no matter of what was given.
    await expect(check([digest], other)).rejects.not.toHaveProperty("code");
  });

  it("is compared with what was written, of which the digests were computed", async () => {
    const cwd = tempDir();
    writeLayout(join(cwd, "in"), sealableLayers());
    const remember = vi.spyOn(LayerMemory.prototype, "rememberWritten");
    const digest = vi.spyOn(WrittenHasher.prototype, "digest");
    const { code } = await seal(["image", "--from", "oci:in", "--to", "oci:out:1", ...PLATFORM], { cwd });
    const [entries, digests] = remember.mock.lastCall ?? [];
    const taken = digest.mock.results.map(({ value }) => value);
    vi.restoreAllMocks();
    expect(code).toBe(0);
    // The same arrays, not only the same bytes.
    const computed = (entries ?? []).flatMap(({ item }) =>
      item.kind === "regular" ? (digests?.get(item.content) ?? []) : [],
    );
    expect(computed.length).toBeGreaterThan(0);
    expect(taken.length).toBe(computed.length);
    for (const [index, one] of computed.entries()) expect(taken[index]).toBe(one);
  });

  it("is refused when the disk does not give what was written", async () => {
    const { cwd, digest, merged, check } = await written();
    truncateSync(join(cwd, "out/index.json"), 10);
    await expect(check([digest], merged)).rejects.toMatchObject({
      code: "input",
      message: expect.stringMatching(/^oci:place:tag: can't be read back: oci:out: index\.json: is not valid JSON/),
    });
  });

  it.each(["layers", "trees"] as const)("is hashed where its %s were read before, each byte of them", async (keeps) => {
    const { cwd, digest, merged, check } = await written();
    const memory = new LayerMemory(keeps);
    await check([digest], merged, memory);
    await check([digest], merged, memory);
    const other = digest.replaceAll("0", "1");
    await expect(check([other], merged, memory)).rejects.toThrow(/read back, the image has the digests /);

    const blobs = join(cwd, "out/blobs/sha256");
    const layers = readdirSync(blobs).filter((name) => readFileSync(join(blobs, name))[0] === 0x1f);
    expect(layers).not.toEqual([]);
    for (const name of layers) {
      const whole = readFileSync(join(blobs, name));
      for (const at of [4, whole.length >> 1, whole.length - 1]) {
        const damaged = Buffer.from(whole);
        damaged[at] = (damaged[at] ?? 0) ^ 1;
        writeFileSync(join(blobs, name), damaged);
        await expect(check([digest], merged, memory)).rejects.toThrow(
          /can't be read back: .* the blob has the digest /,
        );
      }
      writeFileSync(join(blobs, name), whole);
    }
    await check([digest], merged, memory);
  });

  it("has the digests that are known of its trees, and of no others", async () => {
    const { cwd, merged: mergedDigest, plan, check } = await written();
    const source = { kind: "oci", path: join(cwd, "out"), reference: null, subject: "out" } as const;
    const { rootfs, digests } = await digestRootfs(source, plan, { ...QUIET, cwd });
    const [booted] = digests;
    const [{ rules }] = plan.targets;
    const options = { targets: [{ erofs: "v1", rules }], algorithm: "sha512", xattrs: "allowlist" } as const;
    const [merged] = await composefsDigests(rootfs, { ...options, transform: "oci", mtime: "exact" });
    if (booted === undefined || merged === undefined) throw new Error("no digests");
    expect(merged.digest).toBe(mergedDigest);
    // Only where an image is made again the true digest is found.
    const told = (one: TreeDigest, digit: string) => ({ ...one, digest: digit.repeat(128) as DigestHex });
    const [a, b] = [told(booted, "a"), told(merged, "b")];
    const checkTold = (known: readonly TreeDigest[]) => check([a.digest], b.digest, new LayerMemory(), known);
    await checkTold([a, b]);
    await expect(checkTold([])).rejects.toThrow(`${booted.digest}, ${merged.digest}, not ${a.digest}, ${b.digest}`);
    await expect(checkTold([a])).rejects.toThrow(`${a.digest}, ${merged.digest}, not ${a.digest}, ${b.digest}`);
    const other = { ...a, root: { ...a.root, mode: a.root.mode ^ 1 } };
    await expect(checkTold([other, b])).rejects.toThrow(`${booted.digest}, ${b.digest}, not ${a.digest}, ${b.digest}`);
    for (const wrong of [{ erofs: "v2" }, { algorithm: "sha256" }] as const) {
      await expect(checkTold([{ ...a, ...wrong }, b])).rejects.toThrow(`${booted.digest}, ${b.digest}, not `);
    }
  });
});
