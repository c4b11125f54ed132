/**
 * README's first Containerfile, on a machine that bootc installs: what lands on its disk is systemd-boot as the real
 * `bootctl install --root` takes it from the root filesystem, the keys of its secureboot-keys, and the UKI. Firmware
 * with Secure Boot then starts it, or does not.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { lintReportSchema } from "../../src/cli/lint/schema.ts";
import { BOOT_NEEDS, type Booted, type BootLab, makeBootLab, ukiIn } from "../support/boot-lab.ts";
import { seal } from "../support/cli.ts";
import { parseContainerfile, sealCalls } from "../support/containerfile.ts";
import { espDisk } from "../support/machine-disk.ts";
import { describeWith, machineRootfs, PEERS_DIR } from "../support/peers.ts";

const KEYS = "usr/lib/bootc/install/secureboot-keys";

/** The calls of seal in README's first Containerfile, with this place's files for those of its stages. */
function readmeCalls(root: string, output: string): { readonly prepare: string[]; readonly rootfs: string[] } {
  const readme = readFileSync(fileURLToPath(new URL("../../README.md", import.meta.url)), "utf8");
  const { stages } = parseContainerfile(/```Dockerfile\n(.*?)```/s.exec(readme)?.[1] ?? "");
  const runs = stages.flatMap(({ instructions }) => instructions.filter(({ name }) => name === "RUN"));
  const files = new Map([
    ["/", root],
    ["/target", root],
    ["/out", output],
    ["/run/secrets/key", "keys/db.key"],
    ["/run/secrets/cert", "keys/db.crt"],
  ]);
  const calls = sealCalls(runs.map(({ text }) => text.replaceAll("/run/seal/seal", "seal")).join("\n"));
  const [prepare = [], rootfs = [], ...others] = calls.map((words) => words.map((word) => files.get(word) ?? word));
  expect([prepare[0], rootfs[0], others]).toEqual(["prepare", "rootfs", []]);
  return { prepare, rootfs };
}

/**
 * What bootc does with a root filesystem and its `/boot` (crates/lib/src/bootloader.rs of bootc 1.17).
 * @param esp gets it
 */
function installAsBootc(root: string, boot: string, esp: string): void {
  mkdirSync(esp);
  const bootctl = 'bootctl install --root "$1" --esp-path /boot --no-variables --random-seed no';
  // A tmpfs stands for the partition, whose file system not every kernel has.
  const script = `mount -t tmpfs tmpfs "$1/boot" && "$2" "$3" ${bootctl} && cp -r "$1/boot/." "$4"`;
  const enter = join(PEERS_DIR, "enter");
  const args = [
    "--mount",
    "--propagation",
    "private",
    "sh",
    "-c",
    script,
    "sh",
    root,
    enter,
    machineRootfs() ?? "",
    esp,
  ];
  const env = {
    ...process.env,
    SYSTEMD_RELAX_ESP_CHECKS: "1",
    KERNEL_INSTALL_CONF_ROOT: "/tmp",
    SYSTEMD_IN_CHROOT: "0",
  };
  const { status, stderr } = spawnSync("unshare", args, { env, encoding: "utf8" });
  expect(status, stderr).toBe(0);
  // bootctl has written one, so bootc does not.
  expect(existsSync(join(esp, "loader/loader.conf"))).toBe(true);
  if (existsSync(join(root, KEYS))) cpSync(join(root, KEYS), join(esp, "loader/keys"), { recursive: true });
  const uki = ukiIn(boot);
  cpSync(uki, join(esp, "EFI/Linux", uki.split("/").at(-1) ?? ""));
}

describeWith([...BOOT_NEEDS, "sfdisk", "root", "machine"], "a machine that bootc installs", () => {
  const results = new Map<string, { readonly booted: Booted; readonly errors: readonly string[] }>();
  let lab: BootLab;

  beforeAll(async () => {
    lab = await makeBootLab();
    const { cwd, run } = lab;
    for (const name of ["prepared", "plain"]) {
      const root = join(cwd, `${name}.root`);
      expect(spawnSync("cp", ["-a", join(cwd, "root"), root]).status).toBe(0);
      for (const directory of ["tmp", "etc", "var", "run", "dev", "proc", "sys"])
        mkdirSync(join(root, directory), { recursive: true });
      const { prepare, rootfs } = readmeCalls(root, `${name}.out`);
      if (name === "prepared") await run(...prepare, "--enroll-keys", "keys");
      await run(...rootfs);
      const boot = join(cwd, `${name}.out/boot`);
      installAsBootc(root, boot, join(cwd, name));
      cpSync(boot, join(root, "boot"), { recursive: true });
      const lint = await seal(["lint", root, "--cert", "keys/db.crt", "--json"], { cwd });
      const { findings } = lintReportSchema.parse(JSON.parse(lint.stdout));
      const errors = findings.filter(({ severity }) => severity === "error").map(({ id }) => id);
      const how = name === "prepared" ? ["--setup-mode", "--timeout", "240"] : ["--enroll", "keys"];
      espDisk(join(cwd, name), join(cwd, `${name}.img`));
      results.set(name, { booted: await lab.bootDisk(`${name}.img`, ...how), errors });
    }
  }, 600_000);

  afterAll(() => lab.remove());

  it("enrols the keys of secureboot-keys and boots, after seal prepare", () => {
    const { booted, errors } = results.get("prepared") ?? {};
    expect({ code: booted?.code, ...booted?.report }).toMatchObject({ code: 0, passed: true, end: "reached" });
    expect(booted?.log).toContain("SecureBoot: 06 00 00 00 01");
    expect(errors).not.toEqual(expect.arrayContaining(["bootloader-installed"]));
    const loader = (path: string) => readFileSync(join(lab.cwd, path));
    const signed = loader("prepared.root/usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed");
    expect(loader("prepared/EFI/BOOT/BOOTX64.EFI").equals(signed)).toBe(true);
  });

  it("is refused by the firmware without it, and was called an error by lint", () => {
    const { booted, errors } = results.get("plain") ?? {};
    expect({ code: booted?.code, ...booted?.report }).toMatchObject({ code: 1, passed: false, end: "refused" });
    expect(booted?.report.refused).toEqual({ by: "firmware", file: "EFI/BOOT/BOOTX64.EFI" });
    expect(errors).toContain("bootloader-installed");
  });
});
