/** UKIs: a real kernel and a large initrd, against ukify, and how time and memory grow with the initrd. */
import { randomFillSync } from "node:crypto";
import { copyFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findPeer, peerTree, realRootfs } from "../test/support/peers.ts";
import { type Benchmark, type Contender, sealCommand } from "./frame.ts";

const STUB = "usr/lib/systemd/boot/efi/linuxx64.efi.stub";

/** Further options, of seal alone and of ukify too. */
interface More {
  readonly own: readonly string[];
  readonly both: readonly string[];
}

/** The kernel of the real root filesystem, systemd 262's stub, and an initrd that nothing can be saved on. */
function contenders(directory: string, initrdBytes: number, { own, both }: More): Contender[] {
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
  return [
    { name: "seal", command: sealCommand("build-uki", ...args, "--output", path("seal.efi"), ...own) },
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
    prepare: (directory) => contenders(directory, initrdBytes, { own: [], both: [], ...more }),
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
  uki("UKI with an initrd of 10 MiB", 10 << 20, { times: 3 }),
  uki("UKI with an initrd of 500 MiB", 500 << 20, undefined),
];
