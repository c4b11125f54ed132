/** UKIs: a real kernel and a large initrd, against ukify, and how time and memory grow with the initrd. */
import { randomFillSync } from "node:crypto";
import { copyFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findPeer, peerTree, realRootfs } from "../test/support/peers.ts";
import { type Benchmark, type Contender, sealCommand } from "./frame.ts";

const STUB = "usr/lib/systemd/boot/efi/linuxx64.efi.stub";

interface More {
  /** Further options of seal. */
  readonly own: readonly string[];
  /** Further options of both. */
  readonly both: readonly string[];
  /** Whether seal replaces the file of the turn before, which is then flushed to the disk; ukify never does that. */
  readonly isReplaced: boolean;
}

/** The kernel of the real root filesystem, systemd 262's stub, and an initrd that nothing can be saved on. */
function contenders(directory: string, initrdBytes: number, { own, both, isReplaced }: More): Contender[] {
  const modules = join(realRootfs() ?? "", "usr/lib/modules");
  copyFileSync(join(modules, readdirSync(modules)[0] ?? "", "vmlinuz"), join(directory, "vmlinuz"));
  copyFileSync(join(peerTree("sid"), STUB), join(directory, "stub"));
  writeFileSync(join(directory, "initrd"), randomFillSync(new Uint8Array(initrdBytes)));
  const path = (name: string) => join(directory, name);
  const base = [
    "--linux",
    path("vmlinuz"),
    "--initrd",
    path("initrd"),
    "--stub",
    path("stub"),
    "--os-release",
    "ID=bench",
  ];
  const args = [...base, "--cmdline", "rw quiet", ...both];
  const before = () => (isReplaced ? undefined : rmSync(path("new"), { recursive: true, force: true }));
  return [
    { name: "seal", before, command: sealCommand("build-uki", ...args, "--output", path("new/seal.efi"), ...own) },
    { name: "ukify 262", command: [findPeer("ukify") ?? "ukify", "build", ...args, "--output", path("ukify.efi")] },
  ];
}

function uki(title: string, initrdBytes: number, aim: Benchmark["aim"], more: Partial<More> = {}): Benchmark {
  return {
    kind: "compare",
    title,
    needs: ["ukify", "rootfs"],
    rounds: 5,
    ...(aim === undefined ? {} : { aim }),
    prepare: (directory) => contenders(directory, initrdBytes, { own: [], both: [], isReplaced: false, ...more }),
  };
}

export const benchmarks: readonly Benchmark[] = [
  uki("UKI with an initrd of 60 MiB", 60 << 20, { times: 3, mebibytes: 150 }),
  uki(
    "UKI with an initrd of 60 MiB, and --uname given to both",
    60 << 20,
    { times: 2.5 },
    { both: ["--uname", "6.1.0"] },
  ),
  uki("UKI with an initrd of 60 MiB, and all hashes of --json", 60 << 20, { times: 1.5 }, { own: ["--json"] }),
  uki("UKI with an initrd of 60 MiB in the place of another, which seal flushes", 60 << 20, undefined, {
    isReplaced: true,
  }),
  uki("UKI with an initrd of 10 MiB", 10 << 20, { times: 3 }),
  uki("UKI with an initrd of 500 MiB", 500 << 20, undefined),
];
