/** Real EFI programs out of Debian packages: the hashes and verdicts of the real tools, and the bytes of the real ukify on real stubs. */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { expect, it } from "vitest";
import { peReportSchema } from "../../src/cli/inspect/pe-report.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { seal } from "../support/cli.ts";
import { peDifferences } from "../support/pe-diff.ts";
import { debianPrograms, describeWith, PROGRAMS_DIR, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";
import { UKI_INPUTS } from "../support/uki-cases.ts";

const PROGRAMS = debianPrograms();
const SIGNED = PROGRAMS.filter((path) => path.endsWith(".signed"));

/** A copy where peers see it, in a directory of its own. */
function copyOf(path: string): string {
  const copy = join(tempDir(), basename(path));
  copyFileSync(join(PROGRAMS_DIR, path), copy);
  return copy;
}

async function inspect(file: string) {
  return peReportSchema.parse(JSON.parse((await seal(["inspect", file, "--json"])).stdout));
}

describeWith(["programs", "pesign"], "Authenticode hashes of Debian's programs are pesign's", () => {
  it.each(PROGRAMS)("%s", async (path) => {
    const file = copyOf(path);
    const peer = runPeer("pesign", ["-h", "-i", file]);
    expect(peer.status, peer.stderr).toBe(0);
    const [, hash] = /\b([0-9a-f]{64})\b/.exec(peer.stdout.toString()) ?? [];
    expect((await seal(["inspect", file, "--authenticode-hash"])).stdout.trim()).toBe(hash);
  });
});

describeWith(["programs", "sbattach", "sbverify", "openssl"], "verdicts on Debian's programs are sbverify's", () => {
  it.each(SIGNED)("%s", async (path) => {
    const file = copyOf(path);
    const [p7, pem] = [`${file}.p7`, `${file}.pem`];
    expect(runPeer("sbattach", ["--detach", p7, file]).status).toBe(0);
    const certificates = runPeer("openssl", ["pkcs7", "-inform", "DER", "-in", p7, "-print_certs"]).stdout.toString();
    // The signer's or an issuer's: whoever of them is trusted, the signature is good.
    writeFileSync(pem, /-----BEGIN[\s\S]*?-----END CERTIFICATE-----\n/.exec(certificates)?.[0] ?? "");
    const verdicts = async (program: string) => [
      runPeer("sbverify", ["--cert", pem, program]).status === 0,
      (await seal(["verify", program, "--cert", pem])).code === 0,
    ];
    expect(await verdicts(file)).toEqual([true, true]);
    expect((await inspect(file)).signatures.map(({ intact }) => intact)).not.toContain(false);

    const changed = readFileSync(file);
    const pe = parsePe([changed], file);
    const at = pe.sections[0]?.rawOffset ?? 0;
    changed[at] = (changed[at] ?? 0) ^ 1;
    writeFileSync(`${file}.changed`, changed);
    expect(await verdicts(`${file}.changed`)).toEqual([false, false]);
  });
});

describeWith(["programs"], "seal inspect of Debian's programs", () => {
  it.each(SIGNED.filter((path) => basename(path).includes("-shim")))(
    "resolves long section names in %s",
    async (path) => {
      const names = (await inspect(copyOf(path))).sections.map(({ name }) => name);
      expect(names).toContain(".vendor_cert");
      expect(names.filter((name) => name.startsWith("/"))).toEqual([]);
    },
  );
});

describeWith(["programs", "ukify"], "seal build-uki on the stubs of systemd 252", () => {
  const stubs = PROGRAMS.filter((path) => path.endsWith(".efi.stub"));
  const kernels: Readonly<Record<string, string>> = { amd64: "kernel-sbat", i386: "kernel-sbat", arm64: "kernel-aa64" };
  it.each(stubs)("writes what ukify writes on %s", async (path) => {
    const kernel = kernels[basename(dirname(path))] ?? "";
    const stub = copyOf(path);
    const cwd = dirname(stub);
    copyFileSync(join(UKI_INPUTS, kernel), join(cwd, kernel));
    const arch = /linux(\w+)\.efi\.stub$/.exec(path)?.[1] ?? "";
    for (const linux of [["--linux", join(cwd, kernel), "--uname", "6.1"], []]) {
      const args = [
        "build",
        "--stub",
        copyOf(path),
        "--efi-arch",
        arch,
        "--hwids",
        "",
        "--os-release",
        "ID=x",
        ...linux,
      ];
      const [ours, theirs] = [join(cwd, "ours.efi"), join(cwd, "theirs.efi")];
      const peer = runPeer("ukify", [...args, "--cmdline", "a b", "--output", theirs]);
      expect(peer.status, peer.stderr).toBe(0);
      const result = await seal(["build-uki", ...args, "--cmdline", "a b", "--output", ours]);
      expect(result.code, result.stderr).toBe(0);
      expect(peDifferences(readFileSync(ours), readFileSync(theirs))).toEqual([]);
      expect((await inspect(ours)).sections.map(({ name }) => name)).toContain(".cmdline");
    }
  });
});
