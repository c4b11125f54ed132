/**
 * `npm run demo`: seals a root filesystem with the built program and shows what it did. A real Debian one when this
 * machine can make it (root, and mmdebstrap or debootstrap), which boots at the end where QEMU is; otherwise the small
 * sample tree. Everything lands in demo-output/, and each command is shown as it can be typed in the project.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { writeSampleTree } from "./sample-tree.ts";

const project = fileURLToPath(new URL("../..", import.meta.url));
const output = join(project, "demo-output");
const program = join(project, "dist/cli/main.js");

/** The command line of `seal`, as it can be typed in the project. */
function typed(args: readonly string[]): string {
  return ["npx", "seal", ...args.map((arg) => (/[ *]/.test(arg) ? `'${arg}'` : arg))].join(" ");
}

/** Runs `seal` where the reader can follow it. */
function seal(...args: string[]): void {
  process.stdout.write(`\n$ ${typed(args)}\n`);
  const { status } = spawnSync(process.execPath, [program, ...args], { stdio: "inherit", cwd: project });
  if (status !== 0) {
    process.stderr.write(`demo: that command ended with ${status}; what was written so far lies in demo-output/\n`);
    process.exit(status ?? 70);
  }
}

/** The same, with its result kept as a file. */
function sealToFile(file: string, ...args: string[]): void {
  const { status, stdout } = spawnSync(process.execPath, [program, ...args], { cwd: project, maxBuffer: 1 << 28 });
  if (status === 0 || status === 1) writeFileSync(join(output, file), stdout);
}

function isInstalled(command: string): boolean {
  return spawnSync("sh", ["-c", `command -v ${command}`]).status === 0;
}

/** Where the kernel goes that is split from a root filesystem. */
function kernelOf(rootfs: string): string {
  return `${rootfs}-kernel`;
}

/** Makes the root filesystem that is sealed and says which one it is. The Debian one is kept for the next run. */
function makeRootfs(): string {
  const debian = join(output, "debian");
  const canBootstrap = process.getuid?.() === 0 && (isInstalled("mmdebstrap") || isInstalled("debootstrap"));
  // One of an older demo has nothing that mounts a sealed root. It belongs to root, who alone can make another one.
  if (canBootstrap && !existsSync(join(debian, "usr/bin/composefs-setup-root")))
    rmSync(debian, { recursive: true, force: true });
  if (canBootstrap && !existsSync(debian)) {
    const program = join(output, "composefs-setup-root");
    if (!existsSync(program))
      process.stdout.write("Compiling composefs-setup-root, which mounts a sealed root (about three minutes), and\n");
    process.stdout.write(
      "Making a Debian root filesystem with kernel, initramfs and systemd-boot (about two minutes) …\n",
    );
    const made = spawnSync(join(project, "examples/demo/debian-rootfs"), [debian, program], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    if (made.status !== 0)
      process.stdout.write("That failed (no package mirror, no crates.io?), so the sample tree it is.\n");
  }
  if (canBootstrap && existsSync(debian)) {
    process.stdout.write("Sealing a real Debian root filesystem: demo-output/debian\n");
    return debian;
  }
  const reason = canBootstrap ? "" : " (a real Debian one needs root and mmdebstrap or debootstrap)";
  process.stdout.write(
    `Sealing the small sample tree${reason}.\nIts kernel, stub and boot loader are stand-ins: valid PE files that boot nothing.\n`,
  );
  const sample = join(output, "sample");
  for (const old of [sample, kernelOf(sample)]) rmSync(old, { recursive: true, force: true });
  writeSampleTree(sample);
  return sample;
}

mkdirSync(output, { recursive: true });
for (const old of ["keys", "sealed", "lint.txt"]) rmSync(join(output, old), { recursive: true, force: true });
const rootfs = makeRootfs();
rmSync(join(rootfs, "boot"), { recursive: true, force: true });
mkdirSync(join(rootfs, "boot"));

const target = relative(project, rootfs);
const kernel = kernelOf(target);
const keys = ["--key", "demo-output/keys/db.key", "--cert", "demo-output/keys/db.crt"];
seal("keys", "generate", "--output", "demo-output/keys", "--common-name", "Demo");
// Of a Debian tree that is kept from an earlier run the kernel has been moved already; systemd-boot gets the
// signature of the new key.
seal("prepare", target, ...keys, "--enroll-keys", "demo-output/keys", "--kernel-dir", kernel);
const layout = ["--enroll-keys", "demo-output/keys", "--output", "demo-output/sealed"];
seal("rootfs", target, "--kernel-dir", kernel, ...keys, ...layout);

// What the last stage of a Containerfile does: COPY --from=seal /out/boot /boot
process.stdout.write(`\n$ cp -r demo-output/sealed/boot ${target}/\n`);
cpSync(join(output, "sealed/boot"), join(rootfs, "boot"), { recursive: true, preserveTimestamps: true });

const lint = ["lint", target, "--cert", "demo-output/keys/db.crt"];
seal(...lint);
sealToFile("lint.txt", ...lint, "--no-color");

const next: string[][] = [["report", "demo-output/sealed", "--html", "demo-output/report.html"]];
// The programs of the sample boot nothing.
if (target === "demo-output/debian") {
  const boot = ["boot-test", "demo-output/sealed", "--enroll", "demo-output/keys"];
  const doctor = ["doctor", "boot-test"];
  const { status } = spawnSync(process.execPath, [program, ...doctor], { cwd: project });
  if (status === 0) {
    process.stdout.write(
      "\nThe kernel out of the sealed UKI, in a virtual machine whose firmware trusts the demo's keys only:\n",
    );
    seal(...boot);
  } else {
    process.stdout.write(
      "\nA boot test needs programs that this machine has not; the first of these says which packages have them.\n",
    );
    next.unshift(doctor, boot);
  }
}
process.stdout.write(
  "\nLook around in demo-output/: keys/, sealed/boot/ (what goes to /boot, the UKI in EFI/Linux/), sealed/report.json, lint.txt\n",
);
process.stdout.write(`Next:\n${next.map((args) => `  ${typed(args)}\n`).join("")}`);
