import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { concat } from "../../../src/chunks.ts";
import { verifyDirectoryReportSchema } from "../../../src/cli/verify/directory.ts";
import { firmwareImageHash } from "../../../src/pe/authentihash.ts";
import { parsePe } from "../../../src/pe/headers.ts";
import { signPe } from "../../../src/sign/authenticode.ts";
import { enroll } from "../../../src/sign/enroll.ts";
import { parseVariableStore, writeVariableStore } from "../../../src/sign/ovmf.ts";
import { SHIM_VARIABLES } from "../../../src/sign/shim.ts";
import { certificateList, parseSignatureLists } from "../../../src/sign/siglist.ts";
import { type CliResult, seal } from "../../support/cli.ts";
import { certificateEsl, certificateHashEsl, esl, IMAGE_HASH_TYPES, OWNER } from "../../support/databases.ts";
import { writeEfivars } from "../../support/efivars.ts";
import { makePe } from "../../support/pe.ts";
import { levelSection, makeShim, vendorSection } from "../../support/shim.ts";
import { type VectorKey, vectorCertificate, vectorSigner } from "../../support/signing.ts";
import { tempDir } from "../../support/temp.ts";
import { emptyStore } from "../../support/variable-store.ts";

const X64 = 0x8664;
const AA64 = 0xaa64;

interface ProgramFields {
  readonly machine?: number;
  readonly subsystem?: number;
  readonly sections?: Readonly<Record<string, string>>;
}

/** A program; each text makes another one. */
function program(text: string, { sections = {}, ...fields }: ProgramFields = {}): Buffer {
  const own = Object.entries({ ".text": text, ...sections });
  return makePe({
    ...fields,
    sections: own.map(([name, content], index) => ({ name, content, address: 0x1000 * (index + 1) })),
  });
}

async function sign(file: Uint8Array, key: VectorKey = "signer"): Promise<Uint8Array> {
  const signed = await signPe(parsePe([file], "x.efi"), vectorSigner(key), { append: false, signingTime: null });
  return concat(signed.file);
}

const hashEsl = (file: Uint8Array) => esl(IMAGE_HASH_TYPES.sha256, firmwareImageHash(parsePe([file], "x"), "sha256"));
const NAME = "CN=seal test db rsa2048";

function place(root: string, files: Readonly<Record<string, Uint8Array | string>>): void {
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(join(root, path, ".."), { recursive: true });
    writeFileSync(join(root, path), bytes);
  }
}

/** Runs the verb on a directory `esp` beside `db.esl` and `dbx.esl`. */
async function verify(
  files: Readonly<Record<string, Uint8Array | string>>,
  { args = ["--db", "db.esl"], ...lists }: { args?: string[]; db?: Uint8Array; dbx?: Uint8Array } = {},
): Promise<CliResult> {
  const cwd = tempDir();
  place(cwd, { "db.esl": lists.db ?? certificateEsl("signer"), "dbx.esl": lists.dbx ?? certificateHashEsl("other") });
  place(join(cwd, "esp"), files);
  return seal(["verify", "esp", ...args], { cwd });
}

/** Path, outcome and reason of each program. */
function outcomes({ stdout }: CliResult): string[][] {
  const { programs } = verifyDirectoryReportSchema.parse(JSON.parse(stdout));
  return programs.map(({ path, outcome, reason }) => [path, outcome, reason]);
}

const loader = program("loader", { sections: { ".sdmagic": "#### LoaderInfo: systemd-boot 257.13 ####" } });
const uki = program("uki", { sections: { ".linux": "kernel", ".uname": "6.12.107" } });
let signed: { readonly loader: Uint8Array; readonly uki: Uint8Array; readonly byOther: Uint8Array };

beforeAll(async () => {
  signed = { loader: await sign(loader), uki: await sign(uki), byOther: await sign(uki, "other") };
});

describe("seal verify DIR", () => {
  it("says of every program whether firmware starts it, by what, or why not, and what nobody signs", async () => {
    const allowed = program("allowed by its hash");
    const revoked = await sign(program("revoked"));
    const result = await verify(
      {
        "EFI/BOOT/BOOTX64.EFI": signed.loader,
        "EFI/systemd/systemd-bootx64.efi": signed.loader,
        "EFI/Linux/new.efi": signed.uki,
        "EFI/Linux/new.efi.extra.d/serial.addon.efi": program("", { sections: { ".cmdline": "console=ttyS0" } }),
        "EFI/Linux/other.efi": signed.byOther,
        "EFI/Linux/revoked.EFI": revoked,
        "EFI/tools/tool.efi": allowed,
        "EFI/Linux/new.efi.extra.d/x.cred": "secret",
        "loader/loader.conf": "timeout 0\n",
        "loader/entries/a.conf": "title a\nlinux /a/linux\ninitrd /a/initrd\noptions quiet\n",
        "A/Linux": await sign(program("kernel")),
        "a/initrd": "initrd",
      },
      {
        args: ["--db", "db.esl", "--dbx", "dbx.esl"],
        db: Buffer.concat([certificateEsl("signer"), hashEsl(allowed)]),
        dbx: hashEsl(revoked),
      },
    );
    expect(result).toMatchObject({ code: 1, stderr: "" });
    expect(result.stdout).toBe(`\
✗ esp  5 accepted, 3 refused; judged by db.esl, dbx.esl
  ✓ A/Linux                                     program              x64  accepted     ${NAME} in db.esl
  ✓ EFI/BOOT/BOOTX64.EFI                        systemd-boot 257.13  x64  accepted     ${NAME} in db.esl
  ✓ EFI/Linux/new.efi                           UKI 6.12.107         x64  accepted     ${NAME} in db.esl
  ✗ EFI/Linux/new.efi.extra.d/serial.addon.efi  addon                x64  refused      it is not signed
  ✗ EFI/Linux/other.efi                         UKI 6.12.107         x64  refused      CN=other is not a trusted certificate, nor issued by one
  ✗ EFI/Linux/revoked.EFI                       program              x64  refused      revoked: its SHA-256 hash is in dbx.esl
  ✓ EFI/systemd/systemd-bootx64.efi             systemd-boot 257.13  x64  accepted     ${NAME} in db.esl
  ✓ EFI/tools/tool.efi                          program              x64  accepted     its SHA-256 hash is in db.esl
  – EFI/Linux/new.efi.extra.d/x.cred                                      not covered  by any signature: credential
  – loader/entries/a.conf                                                 not covered  by any signature: initrd /a/initrd and command line
`);
  });

  it("is content with what firmware starts, and with what is for other machines", async () => {
    const files = {
      "EFI/BOOT/BOOTX64.EFI": signed.loader,
      "EFI/BOOT/BOOTAA64.EFI": program("arm", { machine: AA64 }),
      "EFI/Microsoft/memtest.efi": program("boot application", { subsystem: 16 }),
      "EFI/Microsoft/resources.dll": program("library", { subsystem: 3 }),
      "EFI/odd.efi": program("odd", { machine: 0x1234 }),
    };
    const both = await verify(files, { args: ["--db", "db.esl", "--json"] });
    expect(both.code).toBe(1);
    expect(outcomes(both)).toEqual([
      ["EFI/BOOT/BOOTAA64.EFI", "refused", "it is not signed"],
      ["EFI/BOOT/BOOTX64.EFI", "accepted", `${NAME} in db.esl`],
      ["EFI/Microsoft/memtest.efi", "not started", "it is not an EFI program (subsystem 16)"],
      ["EFI/odd.efi", "not started", "it is for machine 0x1234, which UEFI does not know"],
    ]);
    const { "EFI/BOOT/BOOTAA64.EFI": _, ...others } = files;
    expect(await verify(others)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^✓ esp {2}1 accepted, 2 not/),
    });
    expect((await verify({ "EFI/odd.efi": files["EFI/odd.efi"] })).code).toBe(1);
  });

  it("refuses a boot loader of another architecture than that which looks for it", async () => {
    const result = await verify({ "efi/boot/bootaa64.efi": signed.loader }, { args: ["--db", "db.esl", "--json"] });
    expect(outcomes(result)).toEqual([
      ["efi/boot/bootaa64.efi", "refused", "it is for x64, but has the name that aa64 firmware looks for"],
    ]);
  });

  it("has a line for what is not a program, truncated, corrupt or no file, and never follows a symlink", async () => {
    const cwd = tempDir();
    const outside = mkdtempSync(join(cwd, "outside-"));
    place(outside, { "good.efi": signed.uki });
    const esp = join(cwd, "esp");
    const tables = Uint8Array.from(signed.uki);
    tables.fill(0xff, tables.length - 8);
    place(esp, {
      "EFI/Linux/cut.efi": signed.uki.subarray(0, 700),
      "EFI/Linux/empty.efi": "",
      "EFI/Linux/long.efi": Buffer.concat([signed.uki, Buffer.alloc(8)]),
      "EFI/Linux/text.EFI": "#!/bin/sh\n",
      "EFI/Linux/\u202eife.efi": "MZ",
      "EFI/BOOT/BOOTX64.EFI": signed.loader,
      "loader/entries/b.CONF": "linux //b/../b/vmlinuz\n",
      "b/vmlinuz": uki.subarray(0, 100),
    });
    symlinkSync(join(outside, "good.efi"), join(esp, "EFI/Linux/link.efi"));
    symlinkSync("loop.efi", join(esp, "EFI/Linux/loop.efi"));
    symlinkSync(outside, join(esp, "EFI/more"));
    symlinkSync("vmlinuz", join(esp, "b/vmlinuz-symlink"));
    place(cwd, { "db.esl": certificateEsl("signer") });
    const result = await seal(["verify", "esp", "--db", "db.esl", "--json"], { cwd });
    expect(result).toMatchObject({ code: 1, stderr: "" });
    expect(outcomes(result)).toEqual([
      ["EFI/BOOT/BOOTX64.EFI", "accepted", expect.any(String)],
      ["EFI/Linux/cut.efi", "refused", expect.stringMatching(/^truncated or corrupt PE file/)],
      ["EFI/Linux/empty.efi", "refused", "not a PE file (it does not start with an MZ header)"],
      ["EFI/Linux/link.efi", "refused", `is a symlink to ${outside}/good.efi, which FAT can't store`],
      ["EFI/Linux/long.efi", "refused", expect.stringMatching(/certificate table ends at/)],
      ["EFI/Linux/loop.efi", "refused", "is a symlink to loop.efi, which FAT can't store"],
      ["EFI/Linux/text.EFI", "refused", "not a PE file (it does not start with an MZ header)"],
      ["EFI/Linux/\\u202eife.efi", "refused", expect.stringMatching(/^not a PE file/)],
      ["b/vmlinuz", "refused", expect.stringMatching(/^not a PE file, or truncated|truncated/)],
    ]);
  });

  it("looks through many files without reading them, and finds programs by what is in them", async () => {
    const files = Object.fromEntries(Array.from({ length: 3000 }, (_, index) => [`d${index % 7}/${index}.txt`, "MZ"]));
    const result = await verify({
      ...files,
      "d3/vmlinuz-6.12": signed.uki,
      "initrd.img-6.12": "x",
      "grub/grub.cfg": "",
    });
    expect(result.code).toBe(0);
    expect(result.stdout.split("\n").map((line) => line.trim().split(/ {2,}/))).toEqual([
      ["✓ esp", "1 accepted; judged by db.esl"],
      ["✓ d3/vmlinuz-6.12", "UKI 6.12.107", "x64", "accepted", `${NAME} in db.esl`],
      ["– grub/grub.cfg", "not covered", "by any signature: what GRUB starts, and its command line"],
      ["– initrd.img-6.12", "not covered", "by any signature: initrd"],
      [""],
    ]);
  });

  it("takes a system's root: its /boot and /efi, and nothing else", async () => {
    const files = {
      "boot/EFI/Linux/a.efi": signed.uki,
      "efi/EFI/BOOT/BOOTX64.EFI": signed.loader,
      "usr/x.efi": loader,
    };
    const args = ["--db", "db.esl", "--json"];
    const paths = async (more: Record<string, Uint8Array>) =>
      outcomes(await verify(more, { args })).map(([path]) => path);
    expect(await paths(files)).toEqual(["boot/EFI/Linux/a.efi", "efi/EFI/BOOT/BOOTX64.EFI"]);
    expect(await paths({ "boot/a.efi": signed.uki, "x.efi": signed.uki })).toEqual(["boot/a.efi"]);
    // A partition may have a directory of that name too.
    expect(await paths({ "boot/a.efi": signed.uki, "EFI/x.efi": signed.uki })).toEqual(["EFI/x.efi", "boot/a.efi"]);
  });

  it("warns of names that are one on FAT, and of what is odd about a program that starts", async () => {
    const overlapping = await sign(
      makePe({
        sections: [
          { name: ".text", content: "x".repeat(0x200), address: 0x1000 },
          { name: ".data", content: "y", address: 0x1100 },
        ],
      }),
    );
    const result = await verify({ "EFI/a.efi": signed.uki, "EFI/A.EFI": signed.uki, "EFI/o.efi": overlapping });
    expect(result.code).toBe(0);
    expect(result.stderr).toMatch(
      /^warning: EFI\/a\.efi: on FAT, which ignores case, it has the same name as EFI\/A\.EFI\nwarning: EFI\/o\.efi: .*overlap.*\n$/,
    );
  });

  it("refuses a directory without programs, and one that is not there", async () => {
    expect(await verify({ "EFI/readme.txt": "MZ" })).toMatchObject({
      code: 3,
      stdout: "",
      stderr: "seal: esp: has no EFI program; give a /boot or a mounted EFI system partition\n",
    });
    expect(await seal(["verify", "/nowhere/esp", "--db", "/nowhere/db"])).toMatchObject({ code: 3, stdout: "" });
  });

  it("is called with files too, each judged as it is", async () => {
    const cwd = tempDir();
    place(cwd, { "esp/a.efi": signed.uki, "b.efi": signed.byOther, "db.esl": certificateEsl("signer") });
    const result = await seal(["verify", "esp", "b.efi", "--db", "db.esl"], { cwd });
    expect(result.code).toBe(1);
    expect(result.stdout).toMatch(/^✓ esp {2}1 accepted; .*\n {2}✓ a\.efi .*\n✗ b\.efi {2}not trusted\n/);
    expect(await seal(["verify", "esp", "--list"], { cwd })).toMatchObject({
      code: 2,
      stderr: "seal: esp: is a directory; --list shows the signers of files, so name the files\n",
    });
  });
});

describe("seal verify DIR, by the variables of a firmware", () => {
  const owned = { PK: certificateEsl("ca"), KEK: certificateEsl("ca"), SecureBoot: Uint8Array.of(1) };

  /** Runs the verb where this machine has these variables. */
  async function onMachine(
    variables: Parameters<typeof writeEfivars>[1] | null,
    files: Readonly<Record<string, Uint8Array>>,
    ...args: string[]
  ): Promise<CliResult> {
    const cwd = tempDir();
    const efivars = join(cwd, "efivars");
    if (variables !== null) writeEfivars(efivars, variables);
    place(join(cwd, "esp"), files);
    return seal(["verify", "esp", ...args], { cwd, env: { EFIVARFS_PATH: efivars } });
  }

  const own = process.arch === "arm64" ? AA64 : X64;
  const foreign = process.arch === "arm64" ? X64 : AA64;

  it("goes by this machine's where nothing is given, and knows what is for others", async () => {
    const files = {
      "EFI/Linux/own.efi": await sign(program("own", { machine: own })),
      "EFI/Linux/other.efi": program("other", { machine: foreign }),
      "EFI/Linux/revoked.efi": await sign(program("own", { machine: own }), "db3072"),
    };
    const variables = { ...owned, db: certificateEsl("signer", "db3072"), dbx: certificateHashEsl("db3072") };
    const result = await onMachine(variables, files, "--json");
    expect(result).toMatchObject({ code: 1, stderr: "" });
    expect(verifyDirectoryReportSchema.parse(JSON.parse(result.stdout))).toMatchObject({
      valid: false,
      judgedBy: expect.stringMatching(/\/efivars$/),
      secureBoot: "on",
    });
    expect(outcomes(result)).toEqual([
      ["EFI/Linux/other.efi", "not started", expect.stringMatching(/^it is for \w+, the firmware is for \w+$/)],
      ["EFI/Linux/own.efi", "accepted", `${NAME} in db`],
      ["EFI/Linux/revoked.efi", "refused", expect.stringMatching(/is revoked by its hash in dbx$/)],
    ]);
  });

  it("waits for no pipe that has the name of a variable", async () => {
    const cwd = tempDir();
    writeEfivars(join(cwd, "efivars"), owned);
    place(cwd, { "esp/a.efi": program("a") });
    const pipe = join(cwd, "efivars", "db-d719b2cb-3d3a-4596-a3bc-dad00e67656f");
    expect(spawnSync("mkfifo", [pipe]).status).toBe(0);
    const { code, stderr } = await seal(["verify", "esp", "--vars", "efivars"], { cwd });
    expect({ code, stderr }).toEqual({
      code: 3,
      stderr: expect.stringMatching(/^seal: efivars\/db-\S+: can't be read: it is not a regular file\n$/),
    });
  });

  it("takes the directory as --vars too, of any machine", async () => {
    const files = { "EFI/Linux/other.efi": await sign(program("other", { machine: foreign })) };
    const result = await onMachine({ ...owned, db: certificateEsl("signer") }, files);
    expect(result.code).toBe(1);
    const cwd = tempDir();
    writeEfivars(join(cwd, "copied"), { ...owned, db: certificateEsl("signer") });
    place(join(cwd, "esp"), files);
    expect(await seal(["verify", "esp", "--vars", "copied"], { cwd })).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("judged by copied\n"),
    });
    // Files are judged by them too.
    expect((await seal(["verify", "esp/EFI/Linux/other.efi", "--vars", "copied"], { cwd })).code).toBe(0);
  });

  it.each([
    ["Secure Boot is off, and this firmware starts anything", { ...owned, SecureBoot: Uint8Array.of(0) }],
    ["setup mode, without a platform key: this firmware starts anything", { SecureBoot: Uint8Array.of(0) }],
  ])("says that %s, and judges as if it did not", async (warning, variables) => {
    const files = { "a.efi": await sign(program("own", { machine: own }), "other") };
    const result = await onMachine({ ...variables, db: certificateEsl("signer") }, files);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(new RegExp(`^warning: .*/efivars: ${warning}\n$`));
  });

  it("asks for lists where there are no variables", async () => {
    const result = await onMachine(null, { "a.efi": signed.uki });
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toMatch(
      /^seal: give --db and --dbx, --vars, --keys or --cert: \/.*\/efivars has no UEFI variables to use instead\n$/,
    );
    expect(await onMachine(null, { "a.efi": signed.uki }, "--vars", "esp")).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/^seal: esp: has no Secure Boot variables; give a variable store of OVMF/),
    });
    expect(await onMachine({ db: Buffer.from("x") }, { "a.efi": signed.uki })).toMatchObject({ code: 3, stdout: "" });
  });

  it("takes a variable store of OVMF, and the keys in a directory", async () => {
    const cwd = tempDir();
    const lists = (name: VectorKey) => ({
      lists: [certificateList(OWNER, vectorCertificate(name).der)],
      append: false,
      time: null,
    });
    const store = parseVariableStore(emptyStore(), "vars.fd");
    const dbx = { lists: parseSignatureLists(hashEsl(signed.loader), "dbx"), append: false, time: null };
    const variables = enroll(store, { PK: lists("ca"), KEK: lists("ca"), db: lists("signer"), dbx });
    place(cwd, {
      "vars.fd": writeVariableStore(store, variables),
      "esp/a.efi": signed.uki,
      "esp/b.efi": signed.loader,
    });
    const result = await seal(["verify", "esp", "--vars", "vars.fd", "--json"], { cwd });
    expect(outcomes(result).map(([path, outcome]) => [path, outcome])).toEqual([
      ["a.efi", "accepted"],
      ["b.efi", "refused"],
    ]);
    const keys = ["keys", "generate", "--output", "keys", "--common-name", "x", "--type", "rsa2048"];
    expect((await seal(keys, { cwd })).code).toBe(0);
    expect((await seal(["verify", "esp", "--keys", "keys"], { cwd })).code).toBe(1);
  });

  it("takes lists on top: what a change of dbx would stop here", async () => {
    const files = {
      "a.efi": await sign(program("a", { machine: own })),
      "b.efi": await sign(program("b", { machine: own })),
    };
    const cwd = tempDir();
    place(cwd, { "dbx.esl": hashEsl(files["b.efi"]), "db.esl": certificateEsl("other") });
    const variables = { ...owned, db: certificateEsl("signer") };
    const result = await onMachine(variables, files, "--dbx", join(cwd, "dbx.esl"), "--json");
    expect(result.code).toBe(1);
    expect(outcomes(result).map(([, outcome]) => outcome)).toEqual(["accepted", "refused"]);
    expect(result.stdout).toContain(`/efivars with ${cwd}/dbx.esl"`);
    // What says what is allowed stands for itself.
    expect((await onMachine(variables, files, "--db", join(cwd, "db.esl"))).stdout).toMatch(
      /2 refused; judged by \S+db\.esl\n/,
    );
    const both = await onMachine(variables, files, "--db", join(cwd, "db.esl"), "--vars", "efivars");
    expect(both).toMatchObject({ code: 0, stdout: expect.stringMatching(/judged by efivars with \S+db\.esl\n/) });
  });

  describe("behind shim", () => {
    const LEVEL = "sbat,1,2024010900\ngrub,3\n";
    const sbat = (generation: number) => ({ sections: { ".sbat": `sbat,1,x\ngrub,${generation},x\n` } });
    const vendor = (allowed: VectorKey, level = LEVEL) =>
      makeShim({ ".sbatlevel": levelSection(level), ".vendor_cert": vendorSection(vectorCertificate(allowed).der) });

    async function behind(shim: Uint8Array, files: Record<string, Uint8Array>, variables = {}): Promise<string[][]> {
      const cwd = tempDir();
      writeEfivars(join(cwd, "vars"), { ...owned, db: certificateEsl("signer"), ...variables });
      place(join(cwd, "esp"), { "EFI/debian/SHIMX64.EFI": shim, ...files });
      return outcomes(await seal(["verify", "esp", "--vars", "vars", "--json"], { cwd })).slice(1);
    }

    it("takes what its vendor signed, with SBAT where shim starts it by itself", async () => {
      const shim = await sign(vendor("other"));
      const files = {
        "EFI/debian/fbx64.efi": await sign(program("fb"), "other"),
        "EFI/debian/grubx64.efi": await sign(program("grub", sbat(3)), "other"),
        "EFI/debian/mmx64.efi": await sign(program("mm", sbat(2)), "other"),
        vmlinuz: await sign(program("kernel"), "other"),
        "vmlinuz-by-firmware": await sign(program("kernel")),
        "vmlinuz-unsigned": program("kernel"),
      };
      expect(await behind(shim, files)).toEqual([
        ["EFI/debian/fbx64.efi", "refused", "it has no .sbat section (shim, EFI/debian/SHIMX64.EFI, starts it)"],
        ["EFI/debian/grubx64.efi", "accepted", "CN=other in EFI/debian/SHIMX64.EFI, by shim"],
        [
          "EFI/debian/mmx64.efi",
          "refused",
          expect.stringMatching(/^its SBAT generation of grub is 2, generations below 3 are revoked/),
        ],
        ["vmlinuz", "accepted", "CN=other in EFI/debian/SHIMX64.EFI, by shim"],
        ["vmlinuz-by-firmware", "accepted", `${NAME} in db`],
        ["vmlinuz-unsigned", "refused", "it is not signed"],
      ]);
    });

    it("goes by the newer level, and by what the machine's owner enrolled and revoked", async () => {
      const shim = await sign(vendor("other"));
      const grub = { "EFI/debian/grubx64.efi": await sign(program("grub", sbat(3)), "other") };
      const outcome = async (variables: object) => (await behind(shim, grub, variables))[0]?.[1];
      expect(await outcome({ SbatLevelRT: Buffer.from("sbat,1,2025021800\ngrub,5\n") })).toBe("refused");
      expect(await outcome({ SbatLevelRT: Buffer.from("sbat,1,2022052400\ngrub,5\n") })).toBe("accepted");
      expect(await outcome({ MokListXRT: certificateEsl("other") })).toBe("refused");
      const mok = { vmlinuz: await sign(program("kernel"), "db3072") };
      expect((await behind(shim, mok))[0]?.[1]).toBe("refused");
      expect(await behind(shim, mok, { MokListRT: certificateEsl("db3072") })).toEqual([
        ["vmlinuz", "accepted", expect.stringMatching(/ in MokList, by shim$/)],
      ]);
    });

    it("takes of what is revoked what shim takes: certificates, not their hashes, and each for its own signature", async () => {
      const shim = await sign(vendor("other"));
      const outcome = async (grub: Uint8Array, dbx: Uint8Array) =>
        (await behind(shim, { "EFI/debian/grubx64.efi": grub }, { dbx }))[0]?.[1];
      const grub = await sign(program("grub", sbat(3)), "other");
      expect(await outcome(grub, certificateEsl("other"))).toBe("refused");
      expect(await outcome(grub, certificateHashEsl("other"))).toBe("accepted");
      const pe = parsePe([grub], "x.efi");
      const twice = concat((await signPe(pe, vectorSigner("db3072"), { append: true, signingTime: null })).file);
      expect(await outcome(twice, certificateEsl("db3072"))).toBe("accepted");
      expect(await outcome(twice, Buffer.concat([certificateEsl("db3072"), hashEsl(twice)]))).toBe("refused");
    });

    it("goes by what shim keeps in a variable store", async () => {
      const cwd = tempDir();
      const store = parseVariableStore(emptyStore(), "vars.fd");
      const list = (name: VectorKey) => ({
        lists: [certificateList(OWNER, vectorCertificate(name).der)],
        append: false,
        time: null,
      });
      const variables = enroll(store, { PK: list("ca"), KEK: list("ca"), db: list("signer") });
      const [like] = variables;
      if (like === undefined) throw new Error("no variables");
      const mok = { ...like, ...SHIM_VARIABLES.enrolled, value: certificateEsl("db3072") };
      const level = { ...like, ...SHIM_VARIABLES.sbatLevel, value: Buffer.from("sbat,1,2025021800\ngrub,5\n") };
      place(cwd, {
        "vars.fd": writeVariableStore(store, [...variables, mok, level]),
        "esp/EFI/debian/grubx64.efi": await sign(program("grub", sbat(4)), "db3072"),
        "esp/EFI/debian/shimx64.efi": await sign(vendor("other")),
        "esp/EFI/debian/vmlinuz": await sign(program("kernel"), "db3072"),
      });
      const result = await seal(["verify", "esp", "--vars", "vars.fd", "--json"], { cwd });
      expect(outcomes(result)).toEqual([
        [
          "EFI/debian/grubx64.efi",
          "refused",
          expect.stringMatching(/^its SBAT generation of grub is 4, generations below 5/),
        ],
        ["EFI/debian/shimx64.efi", "accepted", `${NAME} in db`],
        ["EFI/debian/vmlinuz", "accepted", expect.stringMatching(/ in MokList, by shim$/)],
      ]);
      const supposed = ["verify", "esp", "--vars", "vars.fd", "--sbat-level", "sbat,1,2026010100\ngrub,4"];
      expect(await seal(supposed, { cwd })).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/^✓ esp {2}3 accepted; judged by vars\.fd, --sbat-level\n/),
      });
    });

    it("wants SBAT since shim has it, also before shim brought levels along", async () => {
      const section = { ".vendor_cert": vendorSection(vectorCertificate("other").der) };
      const grub = { "EFI/debian/grubx64.efi": await sign(program("grub"), "other") };
      const outcome = async (shim: Uint8Array) => (await behind(await sign(shim), grub))[0]?.[1];
      expect(await outcome(makeShim(section))).toBe("accepted");
      expect(await outcome(makeShim({ ...section, ".sbat": Buffer.from("sbat,1,x\nshim,1,x\n") }))).toBe("refused");
    });

    it("counts only where firmware starts the shim, and for its architecture", async () => {
      const grub = await sign(program("grub", sbat(3)), "other");
      const files = { "EFI/debian/grubx64.efi": grub };
      expect((await behind(vendor("other"), files))[0]?.[1]).toBe("refused");
      const arm = { "EFI/debian/grubaa64.efi": await sign(program("grub", { ...sbat(3), machine: AA64 }), "other") };
      expect((await behind(await sign(vendor("other")), arm))[0]?.[1]).toBe("refused");
      // What can't be read of a shim helps nobody.
      const broken = await sign(makeShim({ ".vendor_cert": vendorSection(Buffer.from("no certificate")) }));
      expect((await behind(broken, files))[0]?.[1]).toBe("refused");
    });
  });
});
