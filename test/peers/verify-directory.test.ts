/**
 * `seal verify DIR` on what Debian ships: each program is accepted by a certificate where sbverify says so, and shim's
 * part by what is in shim.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect, it } from "vitest";
import { verifyDirectoryReportSchema } from "../../src/cli/verify/directory.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { databaseOf } from "../../src/sign/database.ts";
import { parseVariableStore } from "../../src/sign/ovmf.ts";
import { readPolicy } from "../../src/sign/secure-boot-policy.ts";
import { vendorTrust } from "../../src/sign/shim.ts";
import { seal } from "../support/cli.ts";
import { debianPrograms, describeWith, PROGRAMS_DIR, peerTree, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";

const SHIM = "trixie/amd64/shim-signed-shimx64.efi.signed";
const MICROSOFT_STORE = "usr/share/OVMF/OVMF_VARS_4M.ms.fd";

/** Verdicts by path. */
async function verify(cwd: string, ...args: string[]) {
  const { stdout } = await seal(["verify", "esp", ...args, "--json"], { cwd });
  const { programs } = verifyDirectoryReportSchema.parse(JSON.parse(stdout));
  return new Map(programs.map((program) => [program.path, program]));
}

describeWith(["programs", "trees", "sbverify"], "what Debian signs", () => {
  const shim = () => parsePe([readFileSync(join(PROGRAMS_DIR, SHIM))], "shim");
  const store = join(peerTree("trixie"), MICROSOFT_STORE);

  it("is accepted by a certificate where sbverify accepts it", async () => {
    const cwd = tempDir();
    mkdirSync(join(cwd, "esp"));
    const files = debianPrograms().filter((path) => /^trixie\/a.*\.signed$|-shell/.test(path));
    const names = files.map((path) => `${path.replaceAll("/", "-").replace(/\.efi(?:\.signed)?$/, "")}.efi`);
    for (const [index, path] of files.entries()) {
      copyFileSync(join(PROGRAMS_DIR, path), join(cwd, "esp", names[index] ?? ""));
    }
    const { db } = readPolicy(parseVariableStore(readFileSync(store), "ms").variables, "ms");
    const certificates = [...vendorTrust(shim(), "shim").certificates, ...databaseOf(db, "db").certificates];
    let accepted = 0;
    for (const [index, { x509 }] of certificates.entries()) {
      const file = join(cwd, `${index}.pem`);
      writeFileSync(file, x509.toString());
      const verdicts = await verify(cwd, "--cert", file);
      for (const name of names) {
        const { status } = runPeer("sbverify", ["--cert", file, join(cwd, "esp", name)]);
        const { outcome, reason } = verdicts.get(name) ?? { outcome: "missing", reason: "" };
        const isDirect = outcome === "accepted" && !reason.endsWith(", by shim");
        expect([name, x509.subject, isDirect]).toEqual([name, x509.subject, status === 0]);
        if (isDirect) accepted++;
      }
    }
    expect(accepted).toBeGreaterThan(10);
  }, 120_000);

  it("starts behind its shim on a machine with Microsoft's keys, the kernel too", async () => {
    const cwd = tempDir();
    const amd64 = join(PROGRAMS_DIR, "trixie/amd64");
    const [kernel = ""] = debianPrograms().filter((path) => /^trixie\/amd64\/linux-image-/.test(path));
    for (const [path, from] of Object.entries({
      "EFI/debian/shimx64.efi": join(PROGRAMS_DIR, SHIM),
      "EFI/debian/grubx64.efi": join(amd64, "grub-efi-amd64-signed-grubx64.efi.signed"),
      "EFI/debian/mmx64.efi": join(amd64, "shim-helpers-amd64-signed-mmx64.efi.signed"),
      "EFI/systemd/systemd-bootx64.efi": join(amd64, "systemd-boot-efi-amd64-signed-systemd-bootx64.efi.signed"),
      "EFI/tools/shellx64.efi": join(amd64, "efi-shell-x64-shellx64.efi"),
      [`debian/${basename(kernel)}`]: join(PROGRAMS_DIR, kernel),
    })) {
      mkdirSync(join(cwd, "esp", path, ".."), { recursive: true });
      copyFileSync(from, join(cwd, "esp", path));
    }
    const verdicts = await verify(cwd, "--vars", store);
    expect([...verdicts].map(([path, { what, outcome }]) => [basename(path), what, outcome])).toEqual([
      ["grubx64.efi", "grub", "accepted"],
      ["mmx64.efi", "part of shim", "accepted"],
      ["shimx64.efi", "shim", "accepted"],
      ["systemd-bootx64.efi", expect.stringMatching(/^systemd-boot 257/), "accepted"],
      ["shellx64.efi", "program", "refused"],
      [basename(kernel), "kernel", "accepted"],
    ]);
    expect(verdicts.get("EFI/debian/shimx64.efi")?.reason).toMatch(
      /, issued by CN=Microsoft Corporation UEFI CA 2011 in db$/,
    );
    expect(verdicts.get("EFI/debian/grubx64.efi")?.reason).toMatch(
      /^CN=Debian .* - grub2, issued by CN=Debian Secure Boot CA in EFI\/debian\/shimx64\.efi, by shim$/,
    );
  });
});
