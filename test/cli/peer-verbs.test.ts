/** Calls of bootc's and ukify's verbs, as scripts have them. */
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { asOwnVerb } from "../../src/cli/peer-verbs.ts";
import { seal } from "../support/cli.ts";
import { expectRefusal, KVER, MODULES, makeInputs } from "../support/inputs.ts";

const own = (...argv: string[]) => asOwnVerb(argv, argv[0] === "help" ? 1 : 0).join(" ");

describe("bootc's container verbs", () => {
  it.each([
    [
      "container ukify --rootfs /t --kernel-dir /k/6.1 -- --output x.efi --measure",
      "build-uki --rootfs /t --kernel-dir /k/6.1 --output x.efi --measure",
    ],
    ["container ukify --rootfs=/t -- --output x.efi", "build-uki --rootfs=/t --output x.efi"],
    ["container ukify", "build-uki --rootfs /"],
    ["container ukify --rootfs /t --erofs-version=v1 --", "build-uki --rootfs /t --karg-style both"],
    ["container ukify --rootfs /t --erofs-version v2", "build-uki --rootfs /t --erofs v2 --karg-style composefs"],
    [
      "container ukify --rootfs /t --erofs-version v1-only --karg a",
      "build-uki --rootfs /t --erofs v1 --karg-style composefs.digest --karg a",
    ],
    [
      "container ukify --rootfs /t -- --section .x:--erofs-version=v2",
      "build-uki --rootfs /t --section .x:--erofs-version=v2",
    ],
    ["container compute-composefs-digest", "compute-digest"],
    ["container compute-composefs-digest --erofs-version v2 /t", "compute-digest --erofs v2 /t"],
    ["container compute-composefs-digest --write-dumpfile-to d /t", "compute-digest --write-dumpfile-to d /t"],
    [
      "container compute-composefs-digest-from-storage --write-dumpfile-to d localhost/x",
      "compute-digest --write-dumpfile-to d containers-storage:localhost/x",
    ],
    ["container split-kernel-and-rootfs --output /kernel", "split-kernel --output /kernel --rootfs /"],
    ["container split-kernel-and-rootfs --rootfs /t --output /kernel", "split-kernel --rootfs /t --output /kernel"],
    [
      "container lint --rootfs /t --fatal-warnings --no-truncate --skip sysusers",
      "lint /t --fatal-warnings --skip sysusers",
    ],
    ["container lint --rootfs=/t", "lint /t"],
    ["container lint --list", "lint --list /"],
    ["container ukify --help", "build-uki --help"],
    ["help container lint", "help lint"],
    ["ukify inspect a.efi --all --json=pretty", "inspect a.efi --json"],
    ["ukify inspect a.efi --json short --section .osrel:text", "inspect a.efi --json --section .osrel"],
    ["ukify build --linux inspect", "ukify build --linux inspect"],
    ["lint container", "lint container"],
  ])("%s is %s", (given, expected) => {
    expect(own(...given.split(" "))).toBe(expected);
  });

  it("may stand behind global options", async () => {
    const { code, stdout } = await seal(["--quiet", "container", "lint", "--list"]);
    expect([code, stdout]).toEqual([0, (await seal(["lint", "--list"])).stdout]);
    const page = await seal(["container", "ukify", "--help"]);
    expect(page).toMatchObject({ code: 0, stdout: (await seal(["help", "build-uki"])).stdout });
  });

  it.each<[readonly string[], RegExp]>([
    [["container"], /container: give one of ukify, compute-composefs-digest, .*, as in bootc$/m],
    [["container", "export", "/t"], /container: give one of ukify/],
    [
      ["container", "ukify", "--rootfs", "/t", "--erofs-version", "v3"],
      /--erofs-version: give one of v1, v1-only, v2$/m,
    ],
    [["container", "compute-composefs-digest-from-storage"], /give the image/],
    [["container", "ukify", "--frob"], /unknown option '--frob' .*See seal help build-uki\.$/m],
    [["ukify", "genkey", "--secureboot-private-key", "k"], /ukify genkey: seal keys generate --output DIR/],
    [["ukify", "inspect", "x", "--section", ".osrel:text@file"], /redirect standard output/],
  ])("have a way out where seal has nothing for them: %j", async (args, message) => {
    expectRefusal(await seal(args), 2, message);
  });

  it("refuse the running system's /, which bootc takes where nothing is given", async () => {
    for (const verb of ["ukify", "lint"]) {
      const result = await seal(["container", verb], { env: { container: "oci" } });
      expectRefusal(result, 3, /refusing to seal the running system's \//);
    }
  });

  it("take / in a stage of a container build where bootc changes it", async () => {
    const args = ["container", "split-kernel-and-rootfs", "--output", "/kernel", "--kver", "none of this machine"];
    expectRefusal(await seal(args, { env: { container: "oci" } }), 3, /has no kernel/);
  });
});

describe("scripts", () => {
  let cwd: string;
  beforeEach(() => {
    cwd = makeInputs();
  });
  const succeed = async (...args: string[]) => {
    const { code, stdout, stderr } = await seal(args, { cwd });
    expect(code, stderr).toBe(0);
    return stdout;
  };

  it("that split the kernel off, build the UKI and sign it get what seal's own verbs make", async () => {
    cpSync(join(cwd, "root"), join(cwd, "other"), { recursive: true, preserveTimestamps: true });
    await succeed("container", "split-kernel-and-rootfs", "--rootfs", "root", "--output", "kernel");
    expect(readdirSync(join(cwd, "kernel", KVER)).sort()).toEqual(["initramfs.img", "vmlinuz"]);
    expect(existsSync(join(cwd, "root", MODULES, KVER, "vmlinuz"))).toBe(false);
    const signing = [
      "--signtool",
      "sbsign",
      "--secureboot-private-key",
      "db.key",
      "--secureboot-certificate",
      "db.crt",
    ];
    const output = ["--measure", "--json", "pretty", "--output", "out/uki.efi"];
    const ukify = [
      "ukify",
      "--rootfs",
      "root",
      "--kernel-dir",
      `kernel/${KVER}`,
      "--erofs-version=v1",
      "--write-dumpfile-to",
      "dump",
    ];
    expect(JSON.parse(await succeed("container", ...ukify, "--", ...output, ...signing))).toHaveProperty("sha256");
    await succeed("verify", "out/uki.efi", "--cert", "db.crt");

    const [v1, v2] = await Promise.all(
      ["v1", "v2"].map((erofs) => succeed("container", "compute-composefs-digest", "root", "--erofs-version", erofs)),
    );
    const cmdline = await succeed("inspect", "out/uki.efi", "--section", ".cmdline");
    expect(cmdline).toBe(`composefs.digest=v1-sha512-12:${v1?.trim()} composefs=${v2?.trim()}`);
    expect((await succeed("compute-digest", "dumpfile:dump", "--transform", "none")).trim()).toBe(v1?.trim());

    const plain = [
      "build-uki",
      "--rootfs",
      "root",
      "--kernel-dir",
      "kernel",
      "--karg-style",
      "both",
      "--output",
      "own.efi",
    ];
    await succeed(...plain, "--key", "db.key", "--cert", "db.crt");
    expect(readFileSync(join(cwd, "own.efi")).equals(readFileSync(join(cwd, "out/uki.efi")))).toBe(true);
  });

  it("that show who signed, as sbverify does", async () => {
    expect(await succeed("verify", "--list", "signed.efi")).toMatch(
      /^signed\.efi {2}signed by\n {2}CN=\S.*\n {4}issued by CN=.*\n$/,
    );
    const unsigned = await seal(["verify", "--list", "uki.efi"], { cwd });
    expect(unsigned).toMatchObject({ code: 1, stdout: "uki.efi  not signed\n" });
    expectRefusal(
      await seal(["verify", "--list", "signed.efi", "--cert", "db.crt"], { cwd }),
      2,
      /--list: only lists signers; cannot be combined with --cert/,
    );
    writeFileSync(join(cwd, "changed.efi"), Uint8Array.from(readFileSync(join(cwd, "signed.efi"))).fill(1, 2000, 2001));
    expect(await succeed("verify", "--list", "changed.efi")).toMatch(/bad: the file was changed after it was signed/);
  });

  it("that inspect with ukify", async () => {
    const stdout = await succeed("ukify", "inspect", "uki.efi", "--all", "--json", "pretty");
    expect(stdout).toBe(await succeed("inspect", "uki.efi", "--json"));
  });

  it("that lint with bootc get the same answer as of seal's own verb", async () => {
    const [bootc, ours] = await Promise.all([
      seal(["container", "lint", "--rootfs", "root"], { cwd }),
      seal(["lint", "root"], { cwd }),
    ]);
    expect(bootc).toEqual(ours);
  });
});
