/** What is read of an image for the EFI system partition that bootc would make. */
import { describe, expect, it } from "vitest";
import { concat } from "../../src/chunks.ts";
import { type InstallOptions, readInstalledEsp } from "../../src/seal/installed-esp.ts";
import { makeUki, signed, UKI_PATH } from "../support/lint.ts";
import { type MemoryFiles, memoryRootfs } from "../support/tree.ts";
import { vector } from "../support/vectors.ts";

const LOADER = "usr/lib/systemd/boot/efi/systemd-bootx64.efi";
const KEYS = "usr/lib/bootc/install/secureboot-keys";
const PLAIN = vector("uki/inputs/stub-plain");
const SIGNED = await signed(PLAIN);
const UKI = makeUki({ cmdline: `composefs=${"ab".repeat(64)}` });
const ADDONS = `${UKI_PATH}.extra.d`;

/** An image with files in all places, so that each is seen to be taken from the right one. */
const IMAGE: MemoryFiles = {
  [LOADER]: PLAIN,
  [`${LOADER}.signed`]: SIGNED,
  [UKI_PATH]: UKI,
  [`${ADDONS}/debug.addon.efi`]: "addon",
  [`${ADDONS}/other.addon.efi`]: "other addon",
  [`${ADDONS}/secret.cred`]: "credential",
  "boot/EFI/BOOT/BOOTX64.EFI": "loader of /boot",
  "boot/EFI/systemd/systemd-bootx64.efi": "loader of /boot",
  "boot/loader/loader.conf": "timeout 9\n",
  "boot/loader/addons/all.addon.efi": "addon for all",
  "boot/loader/keys/auto/PK.auth": "key of /boot",
  [`${KEYS}/auto/PK.auth`]: "PK",
  [`${KEYS}/auto/README`]: "text",
  [`${KEYS}/mine/db.auth`]: "db",
};

const read = (files: MemoryFiles, options: Partial<InstallOptions> = {}) =>
  readInstalledEsp(memoryRootfs(files), { arch: "x64", addons: [], keys: true, ...options });

const leaveOut = (...paths: readonly string[]) =>
  Object.fromEntries(Object.entries(IMAGE).filter(([path]) => !paths.includes(path)));

/** Names and contents of its files. */
async function filesOf(files: MemoryFiles, options: Partial<InstallOptions> = {}): Promise<Record<string, string>> {
  const esp = await read(files, options);
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");
  return Object.fromEntries(
    esp.files.map(({ name, bytes }) => [name, text(bytes instanceof Uint8Array ? bytes : concat(bytes))]),
  );
}

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString("latin1");

describe("the EFI system partition that bootc would make", () => {
  it("has the boot loader and the keys of /usr and the UKI of /boot, and nothing else of that", async () => {
    expect(await filesOf(IMAGE)).toEqual({
      "EFI/BOOT/BOOTX64.EFI": latin1(SIGNED),
      "EFI/systemd/systemd-bootx64.efi": latin1(SIGNED),
      [UKI_PATH.slice("boot/".length)]: latin1(UKI),
      "loader/keys/auto/PK.auth": "PK",
      "loader/keys/mine/db.auth": "db",
    });
    const { loader, keys, left } = await read(IMAGE);
    expect({ loader: loader.path, keys, left }).toEqual({
      loader: `${LOADER}.signed`,
      keys: [`${KEYS}/auto/PK.auth`, `${KEYS}/mine/db.auth`],
      left: ["debug", "other"],
    });
  });

  it("has the boot loader as it is where there is no signed one", async () => {
    expect(await filesOf(leaveOut(`${LOADER}.signed`))).toMatchObject({ "EFI/BOOT/BOOTX64.EFI": latin1(PLAIN) });
  });

  it("has those addons that are named", async () => {
    const files = await filesOf(IMAGE, { addons: ["debug"] });
    expect(Object.keys(files).filter((name) => name.includes("addon"))).toEqual([
      `${ADDONS.slice("boot/".length)}/debug.addon.efi`,
    ]);
    expect((await read(IMAGE, { addons: ["debug"] })).left).toEqual(["other"]);
  });

  it("has no keys where none shall be enrolled", async () => {
    const { files, keys } = await read(IMAGE, { keys: false });
    expect(files.some(({ name }) => name.startsWith("loader/"))).toBe(false);
    expect(keys).toEqual([]);
  });

  const uki = (name: string) => ({ ...leaveOut(UKI_PATH), [`boot/EFI/Linux/${name}`]: UKI });
  it.each<[string, MemoryFiles, Partial<InstallOptions>, RegExp]>([
    [
      "no boot loader in /usr",
      leaveOut(LOADER, `${LOADER}.signed`),
      {},
      /has no systemd-bootx64\.efi in usr\/lib\/sys/,
    ],
    ["one for another machine", IMAGE, { arch: "aa64" }, /has no systemd-bootaa64\.efi .*seal prepare/],
    [
      "a symlink for it",
      { ...IMAGE, [`${LOADER}.signed`]: { link: "x" } },
      {},
      /\.signed: is a symlink, which bootctl/,
    ],
    ["a boot loader that is none", { ...IMAGE, [`${LOADER}.signed`]: "text" }, {}, /\.signed: .*bootc install takes/],
    ["an empty /boot", { [LOADER]: PLAIN, boot: null }, {}, /is not sealed: its \/boot is empty/],
    ["no UKI", leaveOut(UKI_PATH), {}, /is not sealed: it has no UKI in boot\/EFI\/Linux/],
    [
      "a UKI that is none",
      { ...IMAGE, "boot/EFI/Linux/b.efi": PLAIN },
      {},
      /b\.efi: is not a UKI: bootc install fails/,
    ],
    [
      "a UKI that can't be read",
      { ...IMAGE, "boot/EFI/Linux/b.efi": "x" },
      {},
      /b\.efi: .*: bootc install fails on it/,
    ],
    ["a key beside the directories", { ...IMAGE, [`${KEYS}/PK.auth`]: "x" }, {}, /PK\.auth: is not a directory: bootc/],
    [
      "a key that is a symlink",
      { ...IMAGE, [`${KEYS}/a/x.auth`]: { link: "y" } },
      {},
      /x\.auth: is not a regular file/,
    ],
    [
      "a file for the keys",
      { [LOADER]: PLAIN, [UKI_PATH]: UKI, [KEYS]: "x" },
      {},
      /secureboot-keys: is not a directory/,
    ],
    ["an addon that is not there", IMAGE, { addons: ["all"] }, /has an addon all\.addon\.efi \(there are: debug, /],
    ["a colon in a name", uki("a:b.efi"), {}, /a:b\.efi: not a valid name on an EFI system partition/],
    ["a star in a name", uki("a*.efi"), {}, /not a valid name on an EFI system partition/],
    ["a backslash in a name", uki("a\\b.efi"), {}, /not a valid name on an EFI system partition/],
  ])("is refused: %s", async (_, files, options, message) => {
    await expect(read(files, options)).rejects.toThrow(message);
  });
});
