/** Inputs that are wrong, for every verb that takes them: one line, the right exit code, and nothing is written. */
import { spawnSync } from "node:child_process";
import { createPrivateKey } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { runsInContainer } from "../../src/io/process-port.ts";
import { signVariableChange } from "../../src/sign/authvar.ts";
import { type CliOptions, seal } from "../support/cli.ts";
import { certificateEsl } from "../support/databases.ts";
import { EFI, expectRefusal, KVER, MODULES, makeInputs, SIGNING, snapshot, write } from "../support/inputs.ts";
import { describeWith } from "../support/peers.ts";
import { vectorSigner } from "../support/signing.ts";
import { vector } from "../support/vectors.ts";

/** Verbs by name, with arguments that are right. What stands behind wins. */
const VERBS = {
  "compute-digest": ["compute-digest", "root", "--write-image-to", "out", "--jobs", "1"],
  "build-uki": ["build-uki", "--rootfs", "root", "--output", "out"],
  "build-uki as ukify": [
    ...["build-uki", "--linux", `root/${MODULES}/${KVER}/vmlinuz`, "--stub", `root/${EFI}/linuxx64.efi.stub`],
    ...["--os-release", "", "--output", "out"],
  ],
  rootfs: ["rootfs", "root", "--output", "out"],
  "split-kernel": ["split-kernel", "--rootfs", "root", "--output", "out"],
  "boot-layout": ["boot-layout", "--uki", "uki.efi", "--rootfs", "root", "--output", "out"],
  sign: ["sign", "uki.efi", ...SIGNING],
  "sign --append": ["sign", "uki.efi", ...SIGNING, "--append"],
  verify: ["verify", "uki.efi"],
  inspect: ["inspect", "uki.efi"],
  lint: ["lint", "root"],
  "keys generate": ["keys", "generate", "--output", "out"],
  "keys esl": ["keys", "esl", "uki.efi", "--output", "out"],
  "keys auth": ["keys", "auth", "db", "uki.efi", ...SIGNING, "--output", "out"],
  "keys show": ["keys", "show", "db.crt"],
} as const;
type VerbName = keyof typeof VERBS;

interface Case {
  readonly prepare?: (cwd: string) => void;
  readonly args?: readonly string[];
  readonly options?: CliOptions;
  /** Input, unless it says otherwise. */
  readonly code?: 2 | 3;
  readonly message: RegExp;
}

function refused(title: string, verbs: readonly VerbName[], { prepare, args = [], options, code = 3, message }: Case) {
  describe(title, () => {
    it.each(verbs)("%s", async (name) => {
      const cwd = makeInputs();
      prepare?.(cwd);
      const before = snapshot(cwd);
      expectRefusal(await seal(["--quiet", ...VERBS[name], ...args], { cwd, ...options }), code, message);
      expect(snapshot(cwd)).toEqual(before);
    });
  });
}

const FROM_TREE = ["build-uki", "rootfs"] as const;
const SIGNERS = ["build-uki", "build-uki as ukify", "rootfs", "boot-layout", "sign", "keys auth"] as const;
const READERS = ["compute-digest", "build-uki", "rootfs", "lint"] as const;

describe("the inputs themselves", () => {
  it.each(Object.entries(VERBS))("are good for %s", async (name, args) => {
    const { code, stderr } = await seal(args, { cwd: makeInputs() });
    expect({ code, stderr }).toEqual({
      code: name === "verify" || name === "lint" ? 1 : 0,
      stderr: expect.any(String),
    });
    expect(stderr).not.toMatch(/^seal:/m);
  });
});

refused("the certificate of another key", SIGNERS, {
  args: ["--key", "db.key", "--cert", "other.crt"],
  message: /other\.crt does not belong to db\.key \(public keys differ\)\. Give the certificate issued for this key\./,
});

refused("a key with another passphrase", SIGNERS, {
  prepare: (cwd) => {
    const key = createPrivateKey(readFileSync(join(cwd, "db.key")));
    const encrypted = key.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "right" });
    writeFileSync(join(cwd, "locked.key"), encrypted);
  },
  args: ["--key", "locked.key", "--cert", "db.crt", "--passphrase-env", "PASS"],
  options: { env: { PASS: "wrong-one" } },
  message: /locked\.key: can't be opened(?!.*wrong-one)/,
});

refused("a file that is not a key", SIGNERS, {
  args: ["--key", "root/usr/lib/os-release", "--cert", "db.crt"],
  message: /os-release: is not a private key/,
});

refused("no key on standard input", SIGNERS, {
  args: ["--key", "-", "--cert", "db.crt"],
  message: /the key on standard input: is not a private key/,
});

refused("no kernel", [...FROM_TREE, "split-kernel"], {
  prepare: (cwd) => rmSync(join(cwd, "root", MODULES, KVER, "vmlinuz")),
  message: /root has no kernel \(usr\/lib\/modules\/\*\/vmlinuz\)\. Install one there/,
});

refused("no initramfs", [...FROM_TREE, "split-kernel"], {
  prepare: (cwd) => rmSync(join(cwd, "root", MODULES, KVER, "initramfs.img")),
  message: /initramfs\.img is missing\. Make it in the image/,
});

refused("two kernels", [...FROM_TREE, "split-kernel"], {
  prepare: (cwd) => write(cwd, `root/${MODULES}/6.2/vmlinuz`, "kernel"),
  message: /root has two kernels \(6\.1-test, 6\.2\)\. Choose one with --kver, or remove the other\./,
});

refused("no stub", FROM_TREE, {
  prepare: (cwd) => rmSync(join(cwd, "root", EFI, "linuxx64.efi.stub")),
  args: ["--efi-arch", "riscv32"],
  message: /linuxriscv32\.efi\.stub: can't read the EFI stub: no such file.*or give --stub/,
});

refused("a command line with a newline", FROM_TREE, { args: ["--cmdline", "a\nb"], message: /newline/ });
refused("a command line with a NUL", FROM_TREE, { args: ["--cmdline", "a\0b"], message: /NUL/ });
refused("a command line with a NUL, as ukify", ["build-uki as ukify"], {
  args: ["--cmdline", "a\0b"],
  message: /NUL/,
});
refused("a kernel argument with a newline", FROM_TREE, { args: ["--karg", "a\nb"], message: /newline/ });
refused("a newline in kargs.d", FROM_TREE, {
  prepare: (cwd) => write(cwd, "root/usr/lib/bootc/kargs.d/1.toml", 'kargs = ["a\\nb"]\n'),
  message: /1\.toml: .*newline/,
});
refused("TOML that is none in kargs.d", FROM_TREE, {
  prepare: (cwd) => write(cwd, "root/usr/lib/bootc/kargs.d/1.toml", "kargs = ["),
  message: /kargs\.d\/1\.toml/,
});

refused("a certificate that is none", ["verify", "lint"], {
  prepare: (cwd) => {
    const pem = readFileSync(join(cwd, "db.crt"), "latin1");
    write(cwd, "db.crt", pem.slice(0, pem.length / 2));
  },
  args: ["--cert", "db.crt"],
  message: /db\.crt: truncated/,
});

const notPe = (cwd: string) => write(cwd, "uki.efi", "MZ, but that is all");
refused("a PE file that is none", ["sign", "verify", "inspect", "boot-layout", "keys esl", "keys auth"], {
  prepare: notPe,
  message: /uki\.efi: /,
});
refused("a kernel that is not a PE file", [...FROM_TREE, "build-uki as ukify"], {
  prepare: (cwd) => write(cwd, `root/${MODULES}/${KVER}/vmlinuz`, "no kernel"),
  message: /vmlinuz: not an EFI kernel/,
});
refused("a stub that is not a PE file", [...FROM_TREE, "build-uki as ukify"], {
  prepare: (cwd) => write(cwd, `root/${EFI}/linuxx64.efi.stub`, "no stub"),
  message: /linuxx64\.efi\.stub: not a PE file/,
});
refused("a boot loader that is not a PE file", ["rootfs", "boot-layout"], {
  prepare: (cwd) => write(cwd, `root/${EFI}/systemd-bootx64.efi`, "no loader"),
  message: /systemd-bootx64\.efi: not a PE file/,
});

/** Offset of the certificate table's entry in the data directories. */
function tableEntry(file: Buffer): number {
  return file.readUInt32LE(0x3c) + 24 + 112 + 4 * 8;
}
const LIES: Readonly<Record<string, (file: Buffer) => void>> = {
  "that it ends behind the file": (file) => {
    file.writeUInt32LE(file.readUInt32LE(tableEntry(file) + 4) + 8, tableEntry(file) + 4);
  },
  "that it begins in the headers": (file) => {
    file.writeUInt32LE(8, tableEntry(file));
  },
  "that a certificate is longer than the table": (file) => {
    file.writeUInt32LE(0xffff_fff0, file.readUInt32LE(tableEntry(file)));
  },
  "that a certificate is shorter than its header": (file) => {
    file.writeUInt32LE(4, file.readUInt32LE(tableEntry(file)));
  },
};
for (const [lie, tell] of Object.entries(LIES)) {
  refused(`a certificate table that says ${lie}`, ["sign --append", "verify", "boot-layout"], {
    prepare: (cwd) => {
      const file = vector("authenticode/signed/plain.sbsign.signer.efi.gz");
      tell(file);
      write(cwd, "uki.efi", file);
    },
    message: /uki\.efi: /,
  });
}

/** What headers can say that is not so. Offsets of PE32+. */
const HEADER_LIES: Readonly<Record<string, [tell: (file: Buffer, pe: number) => Buffer | undefined, message: RegExp]>> =
  {
    "65535 sections": [(file, pe) => void file.writeUInt16LE(0xffff, pe + 6), /SizeOfHeaders is/],
    "a section of 4 GiB": [
      (file, pe) => void file.writeUInt32LE(0xffff_fe00, sections(file, pe) + 16),
      /ends at \d+, the/,
    ],
    "two sections at one place": [
      (file, pe) =>
        void file.copy(file, sections(file, pe) + 40 + 16, sections(file, pe) + 16, sections(file, pe) + 24),
      /overlaps section/,
    ],
    "a section at the end of the address space": [
      (file, pe) => void file.writeUInt32LE(0xffff_ffff, sections(file, pe) + 12),
      /ends beyond the 32-bit address space/,
    ],
    "data behind its certificate table": [(file) => Buffer.concat([file, Buffer.alloc(8)]), /ends at \d+, the file at/],
    "a second certificate table": [
      (file) => Buffer.concat([file, file.subarray(file.readUInt32LE(tableEntry(file)))]),
      /ends at \d+, the file at/,
    ],
  };
function sections(file: Buffer, pe: number): number {
  return pe + 24 + file.readUInt16LE(pe + 20);
}
for (const [lie, [tell, message]] of Object.entries(HEADER_LIES)) {
  refused(`a signed program with ${lie}`, ["sign --append", "verify", "boot-layout"], {
    prepare: (cwd) => {
      const file = vector("authenticode/signed/plain.sbsign.signer.efi.gz");
      write(cwd, "uki.efi", tell(file, file.readUInt32LE(0x3c)) ?? file);
    },
    message,
  });
}

const ESL = certificateEsl("signer");
const BROKEN_LISTS: Readonly<Record<string, [bytes: Uint8Array, message: RegExp]>> = {
  "cut off": [ESL.subarray(0, ESL.length - 1), /x\.esl: /],
  "of size 0": [patched(ESL, 16, 0, 0, 0, 0), /x\.esl: .*list 1 of 0 bytes/],
  "with something behind it": [concat([ESL, Uint8Array.of(1)]), /x\.esl: /],
  "that is text": [utf8("not a list\n"), /x\.esl: /],
};
for (const [what, [bytes, message]] of Object.entries(BROKEN_LISTS)) {
  for (const option of ["--db", "--dbx"]) {
    refused(`a signature list ${what} (${option})`, ["verify"], {
      prepare: (cwd) => write(cwd, "x.esl", bytes),
      args: [option, "x.esl"],
      message,
    });
  }
}
const UPDATE = await signVariableChange(
  { variable: "db", write: "replace", time: new Date(0), value: ESL },
  vectorSigner("ca"),
);
refused("a signed update that is cut off", ["verify"], {
  prepare: (cwd) => write(cwd, "x.auth", UPDATE.subarray(0, 200)),
  args: ["--db", "x.auth"],
  message: /x\.auth: /,
});
refused("a signed update with a signature of no bytes", ["verify"], {
  prepare: (cwd) => write(cwd, "x.auth", patched(UPDATE, 16, 0, 0, 0, 0)),
  args: ["--db", "x.auth"],
  message: /x\.auth: /,
});

function patched(bytes: Uint8Array, offset: number, ...values: readonly number[]): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy.set(values, offset);
  return copy;
}

refused("seal.toml that is not valid TOML", ["sign", "compute-digest", "lint"], {
  prepare: (cwd) => write(cwd, "seal.toml", "key = ["),
  code: 2,
  message: /seal\.toml:1:7: is not valid TOML: /,
});
refused("an unknown key in seal.toml", ["sign", "rootfs"], {
  prepare: (cwd) => write(cwd, "seal.toml", 'kye = "db.key"\n'),
  code: 2,
  message: /seal\.toml:1: kye: unknown option/,
});
refused("a NUL in seal.toml", ["sign"], {
  prepare: (cwd) => write(cwd, "seal.toml", 'output = "a\\u0000b"\n'),
  code: 2,
  message: /seal\.toml:1: output: contains a NUL/,
});
refused("seal.toml that is a directory", ["sign"], {
  prepare: (cwd) => mkdirSync(join(cwd, "seal.toml")),
  message: /seal\.toml: can't be read: is a directory/,
});

describe("a root filesystem that changes while it is read", () => {
  it.each(READERS)("%s", async (name) => {
    const cwd = makeInputs();
    for (let index = 0; index < 600; index++) write(cwd, `root/usr/share/many/${index}`, Buffer.alloc(100));
    let changed = false;
    const result = await seal([...VERBS[name]], {
      cwd,
      // So wide that no message is broken.
      columns: 1000,
      // The first progress is shown when some hundreds of files have been read, and their directories with them.
      onStderr: (text) => {
        if (changed || !text.includes("reading")) return;
        changed = true;
        write(cwd, "root/late", "");
      },
    });
    expect(changed).toBe(true);
    expect(result).toMatchObject({ code: 3, stdout: "" });
    // The line of progress has been wiped before.
    expect(result.stderr.split("\r\x1b[K").at(-1)).toMatch(/^seal: [^\n]*root\/?: changed while it was read;[^\n]*\n$/);
    expect(snapshot(cwd).filter((line) => /\/out|partial/.test(line))).toEqual([]);
  });
});

const RUNNING = [...READERS, "split-kernel"] as const;
/** The arguments of a verb with another root filesystem. */
const at = (name: VerbName, path: string) => VERBS[name].map((argument) => (argument === "root" ? path : argument));

describe("the running system as root filesystem", () => {
  const NAMES: Readonly<Record<string, (cwd: string) => string>> = {
    "/": () => "/",
    "/../": () => "/../",
    "/usr/..": () => "/usr/..",
    "dir:/": () => "dir:/",
    "a symlink to /": (cwd) => {
      symlinkSync("/", join(cwd, "link"));
      return "link";
    },
  };
  for (const [title, path] of Object.entries(NAMES)) {
    // In a container `/`, spelled so, is the stage that is built, and split-kernel takes it.
    it.each(title === "/" && runsInContainer(process.env) ? READERS : RUNNING)(`${title}: %s`, async (name) => {
      const cwd = makeInputs();
      expectRefusal(
        await seal(at(name, path(cwd)), { cwd }),
        3,
        /refusing to seal the running system's \/\. Mount the/,
      );
    });
  }
});

describeWith(["root"], "the running system bind-mounted", () => {
  it.each(RUNNING)("%s", async (name) => {
    const cwd = makeInputs();
    const path = join(cwd, "bound");
    mkdirSync(path);
    expect(spawnSync("mount", ["--bind", "/", path]).stderr.toString()).toBe("");
    onTestFinished(() => void spawnSync("umount", ["-l", path]));
    expectRefusal(await seal(at(name, "bound"), { cwd }), 3, /refusing to seal the running system's \//);
    expect(spawnSync("umount", [path]).stderr.toString()).toBe("");
  });
});
