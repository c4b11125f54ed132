/**
 * Has V8 make code of the program, and writes it into a file beside it. Only functions that have run are in it, so the
 * verbs are taken through some of their work first. scripts/keep-code.ts runs this under V8's flags that make the same
 * code of the same program each time.
 *
 * usage: node FLAGS scripts/make-code.ts HASH DIRECTORY CACHE
 *   HASH       what V8 knows its flags by where none are set, in hex
 *   DIRECTORY  where the file goes
 *   CACHE      a cache of layers that knows those of the image that is read: which code comes first while entries are
 *              written, other threads and the disk decide
 */
import {
  linkSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { run } from "../src/cli/main.ts";
import { VERBS } from "../src/cli/verbs.ts";
import type { ProcessPort } from "../src/io/process-port.ts";
import { CODE_IMAGE } from "./code-image.ts";
import { codeName, encodeCode, inDirectory, loader } from "./loader.ts";

/** Where the hash of flags stands in a script's code (SerializedCodeData in code-serializer.h of V8). */
const FLAG_HASH = 12;

const [, , hash = "", output = "", cache = ""] = process.argv;
const usual = Buffer.from(hash, "hex");
if (usual.length !== 4 || cache === "") throw new Error("usage: node FLAGS scripts/make-code.ts HASH DIRECTORY CACHE");
const project = fileURLToPath(new URL("..", import.meta.url));
const directory = join(project, "dist/cli");
const inputs = join(project, "test/vectors/uki/inputs");

/** A host without a terminal. @returns also what was written to standard error */
function silentHost(cwd: string): { readonly host: ProcessPort; readonly said: string[] } {
  const said: string[] = [];
  const host: ProcessPort = {
    env: {},
    cwd,
    stdout: { write: () => {}, columns: null },
    stderr: { write: (data) => void said.push(String(data)), columns: null },
    stdin: async () => new Uint8Array(0),
    now: () => new Date(0),
    elapsed: () => 0,
  };
  return { host, said };
}

/** What is run, each with the exit code that it has. */
function invocations(): (readonly [number, readonly string[]])[] {
  const key = ["--key", join(inputs, "db2048.key"), "--cert", join(inputs, "db2048.crt")];
  const uki = ["--linux", join(inputs, "kernel"), "--stub", join(inputs, "stub-wide"), "--os-release", "ID=x"];
  return [
    [0, ["--version"]],
    [0, ["--help"]],
    ...VERBS.map(({ name }) => [0, [...name.split(" "), "--help"]] as const),
    [2, ["compute-digest", "--none"]],
    [3, ["compute-digest", "missing"]],
    [0, ["compute-digest", "tree", "--json"]],
    [0, ["compute-digest", CODE_IMAGE, "--cache", cache]],
    [0, ["rootfs", "tree", ...key, "-o", "out"]],
    [1, ["lint", "tree"]],
    [1, ["lint", CODE_IMAGE]],
    [0, ["build-uki", ...uki, "-o", "uki.efi"]],
    [0, ["sign", "uki.efi", ...key, "-o", "signed.efi"]],
    [0, ["verify", "signed.efi", "--cert", join(inputs, "db2048.crt")]],
    [0, ["inspect", "signed.efi"]],
    [0, ["measure", "signed.efi"]],
    [3, ["lint", "missing"]],
  ];
}

/**
 * V8 refuses code of other flags. Those that this runs under set the order of things and nothing in the code, so it may
 * pass for code of no flags; test/cli/package.test.ts shows that V8 takes it.
 */
function asUsual(code: Buffer): Buffer {
  code.set(usual, FLAG_HASH);
  return code;
}

/** Contexts of an SELinux policy, of which each is compiled in another way. */
const CONTEXTS = `/.*	system_u:object_r:default_t:s0
/usr/bin(/.*)?	system_u:object_r:bin_t:s0
/usr/lib/.*\\.so(\\.[0-9]+)*	--	system_u:object_r:lib_t:s0
/usr/bin/true	--	system_u:object_r:exec_t:s0
/dev/[hs]d[a-z][^/]*	-b	system_u:object_r:disk_t:s0
/boot	-d	system_u:object_r:boot_t:s0
/run/.*	<<none>>
`;

/** Writes a root filesystem with all that seal looks at: kernel, programs, a policy, files of several kinds. */
function makeTree(root: string): void {
  const files = {
    "usr/bin/true": "x".repeat(5000),
    "usr/lib/os-release": "ID=x",
    "usr/lib/modules/1/vmlinuz": readFileSync(join(inputs, "kernel")),
    "usr/lib/modules/1/initramfs.img": readFileSync(join(inputs, "initrd-1")),
    "usr/lib/systemd/boot/efi/linuxx64.efi.stub": readFileSync(join(inputs, "stub-wide")),
    "usr/lib/systemd/boot/efi/systemd-bootx64.efi": readFileSync(join(inputs, "stub-plain")),
    "etc/selinux/config": "SELINUXTYPE=targeted",
    "etc/selinux/targeted/contexts/files/file_contexts": CONTEXTS,
    "boot/.keep": "",
    "sysroot/.keep": "",
  };
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  symlinkSync("true", join(root, "usr/bin/false"));
  linkSync(join(root, "usr/bin/true"), join(root, "usr/bin/also"));
  // Whether they are older than what is in them would be chance.
  for (const path of [".", ...readdirSync(root, { recursive: true, encoding: "utf8" })])
    lutimesSync(join(root, path), 0, 0);
}

// Where the program lies now would stand in the code.
const { load, scripts } = loader({ ...inDirectory(directory), directory: "/seal" }, new Map());
const main = load("./program.js") as { readonly run: typeof run };
const work = mkdtempSync(join(tmpdir(), "seal-build-"));
try {
  makeTree(join(work, "tree"));
  for (const [code, args] of invocations()) {
    const { host, said } = silentHost(work);
    const got = await main.run(args, host);
    if (got !== code) throw new Error(`seal ${args.join(" ")}: ${got} instead of ${code}: ${said.join("")}`);
  }
} finally {
  rmSync(work, { recursive: true });
}
const code = new Map([...scripts].map(([name, script]) => [name, asUsual(script.createCachedData())]));
writeFileSync(join(output, codeName()), encodeCode(code));
