import { kernelMachine } from "../../boot/efi-program.ts";
import { Cursor } from "../../bytes.ts";
import { SealError } from "../../errors.ts";
import { type EfiArch, efiArchOfGo, efiArchOfMachine } from "../../pe/arch.ts";
import type { PeImage } from "../../pe/headers.ts";
import { PROGRAM_LIMIT, type Rootfs, readTreeFile } from "../../tree/rootfs.ts";
import { isRead, type ReadProgram } from "../boot-programs.ts";
import { checked, notApplicable, type Problem, type Rule } from "../rule.ts";

/** Programs that a bootable tree has; the first that exists shows its architecture. */
const PROGRAMS = ["usr/lib/systemd/systemd", "usr/bin/systemctl", "usr/bin/bash", "usr/bin/sh", "usr/bin/busybox"];

/** e_machine of the ELF header ("System V Application Binary Interface"), for 64 and 32 bits. */
const ELF_MACHINES: ReadonlyMap<number, { readonly wide: EfiArch | null; readonly narrow: EfiArch | null }> = new Map([
  [3, { wide: null, narrow: "ia32" }],
  [40, { wide: null, narrow: "arm" }],
  [62, { wide: "x64", narrow: null }],
  [183, { wide: "aa64", narrow: null }],
  [243, { wide: "riscv64", narrow: "riscv32" }],
  [258, { wide: "loongarch64", narrow: "loongarch32" }],
]);

export const ukiArchRule: Rule = {
  id: "uki-arch",
  severity: "error",
  finds: "a UKI for a different architecture than the tree or the image, or with a kernel for a different one",
  applies: "sealed",
  check: async (context) => {
    const ukis = (await context.ukis()).filter(isRead);
    if (ukis.length === 0) return notApplicable("there is no UKI that can be read");
    const tree = await treeArch(context.rootfs);
    const image = context.image?.config.architecture ?? "";
    const problems = ukis.map((uki) => problemOf(uki, tree) ?? imageProblem(uki, image));
    if (tree === null && efiArchOfGo(image) === null && problems.every((problem) => problem === null)) {
      return notApplicable("no program in the tree shows its architecture");
    }
    return checked(...problems);
  },
};

function problemOf({ path, pe }: ReadProgram, tree: EfiArch | null): Problem | null {
  const own = efiArchOfMachine(pe.machine);
  const name = own ?? `machine 0x${pe.machine.toString(16)}`;
  if (own === null || (tree !== null && own !== tree)) {
    const wanted = tree === null ? "which UEFI does not know" : `but the programs of this tree are for ${tree}`;
    const message = `It is for ${name}, ${wanted}: firmware refuses it, or its kernel can't start them.`;
    return {
      path,
      message,
      fix: "build it from the kernel of this tree, with the stub of its architecture (--efi-arch).",
    };
  }
  const kernel = kernelArch(pe);
  if (kernel === null || kernel === own) return null;
  return {
    path,
    message: `Its stub is for ${own}, but the kernel in it is for ${kernel}: it starts, and then stops.`,
    fix: `build it with --efi-arch ${kernel}.`,
  };
}

/** @param image architecture of its configuration; `""`: it is not an image, or does not say */
function imageProblem({ path, pe }: ReadProgram, image: string): Problem | null {
  const wanted = efiArchOfGo(image);
  const own = efiArchOfMachine(pe.machine);
  // 32-bit firmware starts 64-bit kernels.
  if (wanted === null || wanted === own || (wanted === "x64" && own === "ia32")) return null;
  return {
    path,
    message: `It is for ${own}, but the image is marked as ${image}: machines of that architecture pull it and can't start it, and others do not find it.`,
    fix: `write the image with the architecture of its content (--platform in the build), or use a UKI for that architecture.`,
  };
}

/** Null if the kernel does not say. */
function kernelArch(pe: PeImage): EfiArch | null {
  const machine = kernelMachine(pe);
  return machine === null ? null : efiArchOfMachine(machine);
}

async function treeArch(rootfs: Rootfs): Promise<EfiArch | null> {
  for (const path of PROGRAMS) {
    try {
      const bytes = await readTreeFile(rootfs, path, PROGRAM_LIMIT);
      const arch = bytes === null ? null : elfArch(bytes, path);
      if (arch !== null) return arch;
    } catch (error) {
      // Reached through a refused symlink; another program will do.
      if (!(error instanceof SealError)) throw error;
    }
  }
  return null;
}

function elfArch(bytes: Uint8Array, subject: string): EfiArch | null {
  const cursor = new Cursor(bytes, subject);
  if (bytes.length < 20 || cursor.u32(0, "ELF magic") !== 0x464c457f) return null;
  // EI_CLASS 2: 64 bits. EI_DATA 1: little endian, as UEFI is.
  const machine = ELF_MACHINES.get(cursor.u16(18, "e_machine"));
  if (machine === undefined || cursor.u8(5, "EI_DATA") !== 1) return null;
  return cursor.u8(4, "EI_CLASS") === 2 ? machine.wide : machine.narrow;
}
