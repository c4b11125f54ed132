/** What is looked for on a machine, and what each thing is needed for. */
import { access } from "node:fs/promises";
import { findProgram } from "../../io/exec.ts";
import { type KernelFeatures, kernelFeatures } from "../../io/kernel-features.ts";
import { CFSCTL, CFSCTL_INSTALL, type Packages, PROGRAM_PACKAGES, STUB_PACKAGES } from "../../io/packages.ts";
import type { ProcessPort } from "../../io/process-port.ts";
import { findFirmware, MACHINE_TYPES, type MachineArch } from "../../io/vm/machine-types.ts";
import { DISK_PROGRAMS } from "../boot-test/image-disk.ts";

/** What one may want to do. */
export const PURPOSES = ["uki", "registry", "boot-test", "boot-test-image", "boot-test-tpm", "host"] as const;
export type Purpose = (typeof PURPOSES)[number];

export const PURPOSE_WORDS: Readonly<Record<Purpose, string>> = {
  uki: "build-uki without a root filesystem",
  registry: "images in registries and container stores",
  "boot-test": "boot-test",
  "boot-test-image": "boot-test --from",
  "boot-test-tpm": "boot-test --swtpm",
  host: "to run a sealed image here",
};

export interface DoctorCheck {
  readonly name: string;
  readonly purpose: Purpose;
  /** `unknown`: nothing on this machine says. */
  readonly state: "there" | "missing" | "unknown";
  /** Where or what it is; null where it is not there. */
  readonly found: string | null;
  /** What else than a package helps. */
  readonly advice: string | null;
  readonly packages: Packages | null;
}

/** Looks for all of it. */
export async function runChecks({ env, cwd }: ProcessPort): Promise<DoctorCheck[]> {
  const arch: MachineArch = process.arch === "arm64" ? "aa64" : "x64";
  const type = MACHINE_TYPES[arch];
  const program = async (name: string, purpose: Purpose, packages = PROGRAM_PACKAGES[name] ?? null) =>
    check(name, purpose, await findProgram(name, env, cwd), packages);
  const stub = `/usr/lib/systemd/boot/efi/linux${arch}.efi.stub`;
  const firmware = await findFirmware(arch);
  const { cfsctl: _, ...disk } = DISK_PROGRAMS;
  return [
    check("systemd-stub", "uki", await pathOrNull(stub), STUB_PACKAGES),
    await program("skopeo", "registry"),
    await program(type.qemu, "boot-test", type.qemuPackages),
    check("firmware with Secure Boot", "boot-test", firmware?.code ?? null, type.firmwarePackages),
    ...(await Promise.all(["mkfs.vfat", "mcopy", "mdeltree"].map((name) => program(name, "boot-test")))),
    ...(await Promise.all(Object.values(disk).map((name) => program(name, "boot-test-image")))),
    { ...(await program(CFSCTL, "boot-test-image")), advice: CFSCTL_INSTALL },
    await program("swtpm", "boot-test-tpm"),
    ...kernelChecks(await kernelFeatures()),
  ].toSorted((a, b) => PURPOSES.indexOf(a.purpose) - PURPOSES.indexOf(b.purpose));
}

function check(name: string, purpose: Purpose, found: string | null, packages: Packages | null): DoctorCheck {
  return { name, purpose, state: found === null ? "missing" : "there", found, advice: null, packages };
}

function kernelChecks({ release, erofs, overlay, verity, kvm }: KernelFeatures): DoctorCheck[] {
  const feature = (name: string, has: boolean | null, advice: string): DoctorCheck => ({
    ...check(name, "host", has === true ? `Linux ${release}` : null, null),
    state: has === null ? "unknown" : has ? "there" : "missing",
    advice: has === true ? null : advice,
  });
  return [
    feature("EROFS", erofs, "a kernel with CONFIG_EROFS_FS"),
    feature("overlayfs", overlay, "a kernel with CONFIG_OVERLAY_FS"),
    feature("fs-verity", verity, "a kernel with CONFIG_FS_VERITY"),
    {
      ...check("KVM", "boot-test", kvm ? "/dev/kvm" : null, null),
      // QEMU emulates then.
      state: kvm ? "there" : "unknown",
      advice: kvm ? null : "without it virtual machines are slow; see --accel and --timeout",
    },
  ];
}

function pathOrNull(path: string): Promise<string | null> {
  return access(path).then(
    () => path,
    () => null,
  );
}
