/** Keys to enrol are read before they are written: whatever verb takes them. */
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { seal } from "../../support/cli.ts";
import { certificateEsl } from "../../support/databases.ts";
import { expectRefusal, KVER, makeInputs, SIGNING, snapshot, write } from "../../support/inputs.ts";
import { keySet, keyUpdate } from "../../support/key-sets.ts";
import { emptyStore } from "../../support/variable-store.ts";

/** The inputs, with the keys in `keys`, one of them another file. */
async function start(replaced: Readonly<Record<string, Uint8Array | string>> = {}): Promise<string> {
  const cwd = makeInputs();
  write(cwd, "in.fd", emptyStore());
  for (const [variable, bytes] of await keySet()) write(cwd, `keys/${variable}.auth`, bytes);
  for (const [name, bytes] of Object.entries(replaced)) write(cwd, `keys/${name}`, bytes);
  return cwd;
}

const VERBS: readonly (readonly [string, readonly string[]])[] = [
  ["rootfs", ["rootfs", "root", ...SIGNING, "--enroll-keys", "keys", "--output", "out"]],
  ["image", ["image", "--from", "dir:root", "--to", "oci:out", ...SIGNING, "--enroll-keys", "keys"]],
  [
    "boot-layout",
    ["boot-layout", "--uki", "uki.efi", "--rootfs", "root", ...SIGNING, "--enroll-keys", "keys", "--output", "out"],
  ],
  ["keys enroll", ["keys", "enroll", "--vars", "in.fd", "--keys", "keys", "--output", "out"]],
];

describe.each(VERBS)("seal %s", (_, args) => {
  it.each<[string, () => Promise<Uint8Array | string> | Uint8Array | string, RegExp]>([
    ["a web page", () => "<html><body>Not found</body></html>", /is not a signed variable update/],
    ["nothing", () => "", /is empty/],
    ["a bare list", () => certificateEsl("signer"), /is a bare signature list.*; sign it: seal keys auth db/],
    [
      "attributes in front",
      async () => Buffer.concat([Buffer.of(0x27, 0, 0, 0), await keyUpdate("db", "signer")]),
      /4 bytes of attributes that files in efivarfs have.*tail -c \+5/,
    ],
    ["another variable's update", () => keyUpdate("KEK", "signer"), /is an update of KEK, not of db/],
  ])("refuses %s as db.auth", async (__, content, message) => {
    const cwd = await start({ "db.auth": await content() });
    const before = snapshot(cwd);
    const result = await seal(args, { cwd });
    expectRefusal(result, 3, message);
    expect(result.stderr).toMatch(/^seal: keys\/db\.auth: /);
    expect(snapshot(cwd)).toEqual(before);
  });

  it("warns of an update that is signed for appending", async () => {
    const cwd = await start({ "db.auth": await keyUpdate("db", "signer", { write: "append" }) });
    const { code, stderr } = await seal(args, { cwd });
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/keys\/db\.auth: is signed for appending/);
  });
});

describe("a db that does not allow the signer", () => {
  it.each(VERBS.filter(([name]) => name !== "keys enroll"))("is refused by seal %s", async (_, args) => {
    const cwd = await start({ "db.auth": await keyUpdate("db", "leaf") });
    const before = snapshot(cwd);
    const result = await seal(args, { cwd });
    expectRefusal(result, 3, /--enroll-keys: db\.auth does not allow .*; give the keys that belong to the signer/);
    expect(snapshot(cwd)).toEqual(before);
  });

  it("is refused for programs that others signed", async () => {
    const cwd = await start({ "db.auth": await keyUpdate("db", "leaf") });
    const sign = await seal(["rootfs", "root", ...SIGNING, "--output", "signed"], { cwd });
    expect(sign.code, sign.stderr).toBe(0);
    const boot = join(cwd, "signed/boot/EFI");
    const files = ["--uki", `${boot}/Linux/${KVER}.efi`, "--bootloader", `${boot}/BOOT/BOOTX64.EFI`];
    const args = [...files, "--enroll-keys", "keys", "--output", "out"];
    expectRefusal(await seal(["boot-layout", ...args], { cwd }), 3, /db\.auth does not allow .*BOOTX64\.EFI/);
    const to = ["--from", "dir:root", "--to", "oci:out", "--uki", files[1] ?? "", "--enroll-keys", "keys"];
    expectRefusal(await seal(["with-uki", ...to], { cwd }), 3, /db\.auth does not allow/);
  });
});
