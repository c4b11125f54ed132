/**
 * What somebody gets wrong in the first hour, and all that seal says then: what it is about, what is wrong, what to do.
 * Other tests have more of each kind (bad-input, bad-output, process); here the words themselves are held.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { EXIT_CODES } from "../../src/errors.ts";
import { seal } from "../support/cli.ts";
import { KVER, MODULES, makeInputs, SIGNING, snapshot, write } from "../support/inputs.ts";
import { writeLayout } from "../support/layout.ts";
import { tarArchive, tarFile } from "../support/tar.ts";
import { vector } from "../support/vectors.ts";

interface Mistake {
  readonly args: readonly string[];
  readonly prepare?: (cwd: string) => void;
  readonly code: number;
  /** All of standard error, without its final newline; CWD is the directory. */
  readonly says: string;
}

const ROOTFS = ["rootfs", "root", ...SIGNING, "--output", "out"];
const IMAGE = [...SIGNING, "--to", "oci:sealed"];
const { usage, input } = EXIT_CODES;

const MISTAKES: Readonly<Record<string, Mistake>> = {
  "a certificate of another key": {
    args: ["sign", "uki.efi", "--key", "db.key", "--cert", "other.crt", "--output", "x"],
    code: input,
    says: "seal: other.crt does not belong to db.key (public keys differ). Give the certificate issued for this key.",
  },
  "key and certificate exchanged": {
    args: ["sign", "uki.efi", "--key", "db.crt", "--cert", "db.key", "--output", "x"],
    code: input,
    says: "seal: db.crt: contains no private key, only: certificate. Give a certificate with --cert",
  },
  "no key": {
    args: ["sign", "uki.efi"],
    code: usage,
    says: "seal: --key: give the private key to sign with, a file",
  },
  "no kernel in the root filesystem": {
    args: ROOTFS,
    prepare: (cwd) => rmSync(join(cwd, "root", MODULES), { recursive: true }),
    code: input,
    says: "seal: root has no kernel (usr/lib/modules/*/vmlinuz). Install one there, or give the directory that split-kernel made with --kernel-dir",
  },
  "a stub of another architecture": {
    args: ["build-uki", "--rootfs", "root", "--stub", "stub", "--output", "x"],
    prepare: (cwd) => {
      write(cwd, `root/${MODULES}/${KVER}/vmlinuz`, vector("uki/inputs/kernel-aa64"));
      write(cwd, "stub", vector("uki/inputs/stub-plain"));
    },
    code: input,
    says: `seal: root: ${MODULES}/${KVER}/vmlinuz is a kernel for aa64, but the stub stub is for x64; give a --stub for that kernel`,
  },
  "nothing mounted": {
    args: ["rootfs", "empty", ...SIGNING, "--output", "out"],
    prepare: (cwd) => mkdirSync(join(cwd, "empty")),
    code: input,
    says: "seal: empty: is empty: nothing is mounted there, or it is an image without files. In a container build, mount a stage there with RUN --mount=type=bind,from=STAGE,target=DIR",
  },
  "no such root filesystem": {
    args: ["compute-digest", "traget"],
    code: input,
    says: "seal: CWD/traget: can't be read: no such file or directory; give the directory of a root filesystem",
  },
  "an output with files of others": {
    args: ROOTFS,
    prepare: (cwd) => write(cwd, "out/mine", ""),
    code: input,
    says: "seal: CWD/out: is not empty (mine). Nothing is overwritten: give a new directory, or move that away",
  },
  "keys that are there already": {
    args: ["keys", "generate", "--output", "keys"],
    prepare: (cwd) => write(cwd, "keys/db.key", ""),
    code: input,
    says: "seal: CWD/keys: is not empty (db.key). Nothing is overwritten: give a new directory, or move that away",
  },
  "an image without its transport": {
    args: ["image", "--from", "quay.io/fedora/fedora-bootc:43", ...IMAGE],
    code: usage,
    says: "seal: --from quay.io/fedora/fedora-bootc:43: give docker://quay.io/fedora/fedora-bootc:43 (registry) or oci:quay.io/fedora/fedora-bootc:43 (layout) or dir:PATH",
  },
  "an image of podman's without its transport": {
    args: ["lint", "localhost/os"],
    code: input,
    says: "seal: localhost/os: there is no such path; probably containers-storage:localhost/os (what podman built) or oci:localhost/os (layout)",
  },
  "a tag that there is not": {
    args: ["compute-digest", "oci:in:latest"],
    prepare: (cwd) => writeLayout(join(cwd, "in"), [tarArchive(tarFile("a", Buffer.from("a")))], { tag: "43" }),
    code: input,
    says: 'seal: oci:in:latest: has no image with the tag "latest"; its tags are 43',
  },
  "a verb that is misspelt": {
    args: ["sing", "uki.efi"],
    code: usage,
    says: "seal: unknown command 'sing' (Did you mean sign?) See seal --help.",
  },
  "an option that is misspelt": {
    args: ["rootfs", "root", "--ouput", "out"],
    code: usage,
    says: "seal: unknown option '--ouput' (Did you mean --output?) See seal help rootfs.",
  },
  "a key of seal.toml that is misspelt": {
    args: ["sign", "uki.efi"],
    prepare: (cwd) => write(cwd, "seal.toml", '\nkye = "db.key"\n'),
    code: usage,
    says: "seal: seal.toml:2: kye: unknown option; see seal help VERB for the options",
  },
};

describe("a newcomer gives", () => {
  it.each(Object.entries(MISTAKES))("%s", async (_, { args, prepare, code, says }) => {
    const cwd = makeInputs();
    prepare?.(cwd);
    const before = snapshot(cwd);
    const result = await seal(args, { cwd });
    expect(result.stderr.replaceAll(cwd, "CWD")).toBe(`${says}\n`);
    expect(result).toMatchObject({ code, stdout: "" });
    expect(snapshot(cwd)).toEqual(before);
  });

  it("a certificate that has expired, which is not a reason to stop", async () => {
    const { code, stderr } = await seal(["sign", "uki.efi", ...SIGNING, "--output", "x"], {
      cwd: makeInputs(),
      now: new Date("2046-01-01T00:00:00Z"),
    });
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /^warning: the certificate CN=seal test db rsa2048 expired on 2045-01-01: firmware still accepts it, other tools may not\n/,
    );
  });

  it("no more than the name of the program, and gets the help", async () => {
    expect(await seal([])).toEqual(await seal(["--help"]));
  });
});
