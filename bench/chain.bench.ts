/** The whole chain: a root filesystem becomes a signed /boot. */
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findPeer, type Peer, realRootfs } from "../test/support/peers.ts";
import { floor } from "./floor.ts";
import { type Benchmark, type Contender, sealCommand } from "./frame.ts";

const KEYS = new URL("../test/vectors/authenticode/keys/", import.meta.url);

function sealed(directory: string, rootfs: string): Contender {
  const key = ["--key", "signer.key", "--cert", "signer.crt"];
  return {
    name: "seal",
    cwd: directory,
    command: sealCommand("rootfs", rootfs, ...key, "--output", "seal"),
    // A build writes into a new directory.
    before: () => rmSync(join(directory, "seal"), { recursive: true, force: true }),
  };
}

/** Each run is one in a stage of a build, where nothing has been made before. */
function removing(directory: string, names: readonly string[]): () => void {
  return () => {
    for (const name of names) rmSync(join(directory, name), { recursive: true, force: true });
  };
}

/**
 * What bootc's documentation has people do by hand: a digest, a UKI with it on its command line,
 * signatures of both programs.
 */
function recipe(directory: string, rootfs: string): Contender {
  const modules = join(rootfs, "usr/lib/modules");
  const kernel = join(modules, readdirSync(modules)[0] ?? "");
  const efi = join(rootfs, "usr/lib/systemd/boot/efi");
  const program = (name: Peer) => `"${findPeer(name) ?? name}"`;
  // Peers in trees see the directory, not the root filesystem.
  copyFileSync(join(kernel, "vmlinuz"), join(directory, "vmlinuz"));
  copyFileSync(join(kernel, "initramfs.img"), join(directory, "initramfs"));
  copyFileSync(join(efi, "linuxx64.efi.stub"), join(directory, "stub"));
  copyFileSync(join(efi, "systemd-bootx64.efi"), join(directory, "loader"));
  copyFileSync(join(rootfs, "usr/lib/os-release"), join(directory, "os-release"));
  const sign = `${program("sbsign")} --key signer.key --cert signer.crt --output`;
  const script = [
    "set -e",
    `digest=$(${program("cfsctl")} --no-repo --hash sha512 --erofs-version 1 compute-id --bootable "${rootfs}")`,
    `${program("ukify")} build --linux vmlinuz --initrd initramfs --stub stub --os-release @os-release \\`,
    '  --cmdline "composefs=$digest rw" --output uki.efi',
    `${sign} signed.efi uki.efi`,
    `${sign} BOOTX64.EFI loader`,
  ];
  return {
    name: "cfsctl 0.9.4, ukify 262, sbsign twice",
    cwd: directory,
    command: ["sh", "-c", script.join("\n")],
    before: removing(directory, ["uki.efi", "signed.efi", "BOOTX64.EFI"]),
  };
}

export const benchmarks: readonly Benchmark[] = [
  {
    kind: "compare",
    title: "`seal rootfs` of a Debian root filesystem: digest, UKI, signatures, /boot",
    needs: ["cfsctl", "ukify", "sbsign", "rootfs"],
    rounds: 3,
    aim: { times: 2 },
    prepare: async (directory) => {
      for (const name of ["signer.key", "signer.crt"])
        writeFileSync(join(directory, name), readFileSync(new URL(name, KEYS)));
      const rootfs = realRootfs() ?? "";
      return [
        sealed(directory, rootfs),
        recipe(directory, rootfs),
        {
          ...(await floor("chain", rootfs, "signer.key", "least.efi")),
          cwd: directory,
          before: removing(directory, ["least.efi"]),
        },
      ];
    },
  },
];
