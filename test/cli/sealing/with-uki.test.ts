import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { withUkiReportSchema } from "../../../src/cli/sealing/with-uki.ts";
import { openRootfs } from "../../../src/io/rootfs.ts";
import { parseRootfsSource } from "../../../src/io/rootfs-source.ts";
import { readTreeFile } from "../../../src/tree/rootfs.ts";
import { seal } from "../../support/cli.ts";
import { EFI, expectRefusal, KVER, MODULES, makeInputs, SIGNING, snapshot, write } from "../../support/inputs.ts";
import { keySet } from "../../support/key-sets.ts";
import { writeLayoutOf } from "../../support/layout.ts";

const BOOTLOADER = "systemd-bootx64.efi";
let cwd: string;
const run = (...args: readonly string[]) => seal(args, { cwd });

async function succeed(...args: readonly string[]) {
  const result = await run(...args);
  expect(result.code, result.stderr).toBe(0);
  return result.stdout;
}

/** The first half: the image `oci:image`, and what must be signed in `unsigned`. */
beforeEach(async () => {
  cwd = makeInputs();
  write(cwd, `root/${MODULES}/${KVER}/modules.dep`, "");
  write(cwd, "root/boot/old", "what is replaced");
  await writeLayoutOf(join(cwd, "root"), join(cwd, "image"));
  await succeed("build-uki", "--from", "oci:image", "--print-unsigned", "unsigned");
});

/** Somebody signs. */
async function sign(key = "db", ...names: readonly string[]): Promise<void> {
  for (const name of names.length === 0 ? [`${KVER}.efi`, BOOTLOADER] : names) {
    await succeed("sign", `unsigned/${name}`, "--key", `${key}.key`, "--cert", `${key}.crt`);
  }
}

const SECOND = ["with-uki", "--from", "oci:image", "--to", "oci:sealed:1", "--uki", `unsigned/${KVER}.efi`];
const WITH_BOOTLOADER = [...SECOND, "--bootloader", `unsigned/${BOOTLOADER}`];

describe("seal with-uki", () => {
  it("completes what build-uki began: the image that seal image makes", async () => {
    await sign();
    const { image, uki, hosts } = withUkiReportSchema.parse(
      JSON.parse(await succeed(...WITH_BOOTLOADER, "--cert", "db.crt", "--json")),
    );
    expect(uki).toMatchObject({ path: `EFI/Linux/${KVER}.efi`, signers: [expect.stringContaining("CN=")] });
    expect(hosts.some(({ accepts }) => accepts.ok === true)).toBe(true);
    expect(image.takenOut).toContain("boot/old");
    const { passed } = JSON.parse((await run("lint", "oci:sealed:1", "--cert", "db.crt", "--json")).stdout);
    expect(passed).toEqual(
      expect.arrayContaining(["uki-digest", "uki-signature", "bootloader-signature", "image-label", "raw-kernel"]),
    );

    // With a key it signs the boot loader in /usr too.
    await succeed("image", "--from", "oci:image", "--to", "oci:direct:1");
    const digests = await Promise.all(["oci:sealed", "oci:direct"].map((spec) => succeed("compute-digest", spec)));
    expect(digests[0]).toBe(digests[1]);
    expect(image.annotations["composefs.merged.bootable.erofs.v1.fsverity-sha512-12"]).toBe(digests[0]?.trim());
  });

  it("ships the dump file that seal image ships", async () => {
    await sign();
    await succeed(...WITH_BOOTLOADER, "--ship-dump");
    await succeed("image", "--from", "oci:image", "--to", "oci:direct:1", "--ship-dump");
    const [completed, direct] = await Promise.all(
      ["sealed", "direct"].map(async (name) => {
        const { rootfs } = await openRootfs(parseRootfsSource(`oci:${name}`), { algorithm: null, xattrs: [], cwd });
        return Buffer.from((await readTreeFile(rootfs, `boot/${KVER}.dump`)) ?? "").toString("latin1");
      }),
    );
    expect(completed).toMatch(/^\/ 0 40755 /);
    expect(completed).toBe(direct);
  });

  it("says how the boot loader of the image gets signed", async () => {
    await sign("db", `${KVER}.efi`);
    const { code, stderr } = await run(...SECOND);
    expect({ code, stderr }).toMatchObject({ code: 3, stderr: expect.stringContaining("--print-unsigned DIR") });
  });

  it("has an alias that bootc means to give it", async () => {
    await sign();
    expect(await succeed("seal-with-uki", ...WITH_BOOTLOADER.slice(1))).toBe("oci:sealed:1\n");
  });

  it("takes a boot loader from the image that is signed there", async () => {
    await sign();
    write(cwd, `root/${EFI}/${BOOTLOADER}`, readFileSync(join(cwd, "unsigned", BOOTLOADER)));
    rmSync(join(cwd, "image"), { recursive: true });
    await writeLayoutOf(join(cwd, "root"), join(cwd, "image"));
    expect(await succeed("build-uki", "--from", "oci:image", "--print-unsigned", "again")).toBe(`again/${KVER}.efi\n`);
    await succeed("sign", `again/${KVER}.efi`, ...SIGNING);
    await succeed(...SECOND.slice(0, -1), `again/${KVER}.efi`, "--cert", "db.crt");
  });

  it("knows what releases compute that nobody named", async () => {
    await succeed("build-uki", "--from", "oci:image", "--bootc", "1.16.2", "--output", "old.efi");
    await succeed("sign", "old.efi", ...SIGNING);
    await sign("db", BOOTLOADER);
    const { image, hosts } = withUkiReportSchema.parse(
      JSON.parse(await succeed(...WITH_BOOTLOADER, "--uki", "old.efi", "--json")),
    );
    expect(hosts.find(({ releases }) => releases.includes("1.16.2"))).toMatchObject({ accepts: { ok: true } });
    expect(Object.keys(image.annotations)).toContain("composefs.merged.bootable.erofs.v2.fsverity-sha512-12");
  });

  it("makes a fresh image of a directory", async () => {
    for (const [variable, bytes] of await keySet()) write(cwd, `keys/${variable}.auth`, bytes);
    const keys = ["--enroll-keys", "keys"];
    await succeed("build-uki", "--from", "dir:root", ...keys, "--output", `unsigned/${KVER}.efi`);
    await sign();
    const args = ["--from", "dir:root", "--to", "oci-archive:out.ociarchive", ...keys];
    await succeed(...WITH_BOOTLOADER, ...args, "--timeout", "3");
    expect(existsSync(join(cwd, "out.ociarchive"))).toBe(true);
    const { stdout } = await run("diff", "oci-archive:out.ociarchive", "dir:root");
    expect(stdout).toMatch(
      /^3 paths differ\.\n2 paths differ in the kernel, .*\n1 path differs in the files that seal prepare .*\n$/m,
    );
  });

  it.each<readonly [string, () => Promise<unknown>, readonly string[], RegExp]>([
    ["is not signed", async () => sign("db", BOOTLOADER), [], /6\.1-test\.efi: is not signed; sign it first/],
    ["has a boot loader that is not", async () => sign("db", `${KVER}.efi`), [], /systemd-bootx64\.efi: is not signed/],
    [
      "somebody else signed",
      async () => sign("other"),
      ["--cert", "db.crt"],
      /is signed by .*, whose certificate is not in --cert or --db/,
    ],
    [
      "was changed after it was signed",
      async () => {
        await sign();
        const bytes = readFileSync(join(cwd, `unsigned/${KVER}.efi`));
        bytes[0x400] = (bytes[0x400] ?? 0) ^ 1;
        writeFileSync(join(cwd, `unsigned/${KVER}.efi`), bytes);
      },
      [],
      /its signature is invalid: the file was changed/,
    ],
    [
      "is for another image",
      async () => {
        await sign();
        write(cwd, "root/usr/new", "x");
        rmSync(join(cwd, "image"), { recursive: true });
        await writeLayoutOf(join(cwd, "root"), join(cwd, "image"));
      },
      [],
      /demands the root filesystem [0-9a-f]{8}….*, but oci:image has .* seal diff shows/,
    ],
    ["has layers of its own", sign, ["--layer-size", "1M"], /--layer-size: requires --from dir:PATH/],
  ])("writes nothing when the UKI or its image %s", async (_, prepare, args, message) => {
    await prepare();
    const before = snapshot(cwd);
    const result = await run(...WITH_BOOTLOADER, ...args);
    expectRefusal(result, args[0] === "--layer-size" ? 2 : 3, message);
    expect(snapshot(cwd)).toEqual(before);
  });
});
