/**
 * Real EFI programs out of Debian packages: the hashes and verdicts of the real tools, and the bytes of the real
 * ukify on real stubs.
 */
import { closeSync, copyFileSync, openSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { expect, it } from "vitest";
import { peReportSchema } from "../../src/cli/inspect/pe-report.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { seal } from "../support/cli.ts";
import { peDifferences } from "../support/pe-diff.ts";
import { debianPrograms, describeWith, PROGRAMS_DIR, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";

const FILES = debianPrograms();
/** Whose packages are called by what they hold. */
const KERNEL = /^linux-(?:image|binary)-(.*?)-vmlinu[xz]/;
/** Kernels of some architectures are compressed as a whole. */
const PROGRAMS = FILES.filter((path) => startsWith(join(PROGRAMS_DIR, path), "MZ"));
const SIGNED = PROGRAMS.filter(isSigned);
const KERNELS = FILES.filter((path) => KERNEL.test(basename(path)));
const STUBS = PROGRAMS.filter((path) => /-linux\w+\.efi\.stub$/.test(path));
/** `SUITE/ARCH` as the architectures are called in the names of EFI programs. */
const EFI_ARCHES: Readonly<Record<string, string>> = { amd64: "x64", i386: "ia32", arm64: "aa64", riscv64: "riscv64" };

function startsWith(path: string, text: string): boolean {
  const head = Buffer.alloc(text.length);
  const file = openSync(path, "r");
  readSync(file, head);
  closeSync(file);
  return head.toString("latin1") === text;
}

/** Whether it ought to be read at all is asked by the tests. */
function isSigned(path: string): boolean {
  try {
    return parsePe([readFileSync(join(PROGRAMS_DIR, path))], path).certificateTable !== null;
  } catch {
    return true;
  }
}

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
    const { authenticode, sections, size } = await inspect(file);
    // It pads what is behind the last section, and nothing where that reaches to the end; sbsign and
    // osslsigncode pad there too.
    const isCut = Math.max(...sections.map(({ rawOffset, rawSize }) => rawOffset + rawSize)) === size && size % 8 !== 0;
    expect(isCut ? authenticode?.unpaddedSha256 : authenticode?.sha256).toBe(hash);
    expect((await seal(["inspect", file, "--authenticode-hash"])).stdout.trim()).toBe(authenticode?.sha256);
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

describeWith(["programs"], "Debian's programs", () => {
  it("are a hundred and more, signed ones among them, with kernels and stubs of all architectures", () => {
    expect(PROGRAMS.length).toBeGreaterThanOrEqual(100);
    expect(SIGNED.length).toBeGreaterThanOrEqual(30);
    expect(KERNELS.length).toBeGreaterThanOrEqual(5);
    expect(new Set(STUBS.map((path) => basename(dirname(path))))).toEqual(new Set(Object.keys(EFI_ARCHES)));
  });
});

describeWith(["programs"], "seal inspect of Debian's kernels", () => {
  it.each(KERNELS)("tells the version and architecture of %s", async (path) => {
    const { type, kver, arch } = await inspect(copyOf(path));
    expect({ type, kver, arch }).toEqual({
      type: "kernel",
      kver: KERNEL.exec(basename(path))?.[1],
      arch: EFI_ARCHES[basename(dirname(path))],
    });
  });
});

describeWith(["programs", "ukify"], "seal build-uki of Debian's kernels on Debian's stubs", () => {
  it.each(STUBS)("writes what ukify writes on %s", async (path) => {
    const architecture = basename(dirname(path));
    const stub = copyOf(path);
    const cwd = dirname(stub);
    const [ours, theirs] = [join(cwd, "ours.efi"), join(cwd, "theirs.efi")];
    const same = KERNELS.filter((kernel) => basename(dirname(kernel)) === architecture);
    expect(same).not.toEqual([]);
    const inputs = [...same.map((kernel) => ["--linux", copyOf(kernel)]), []];
    for (const linux of inputs) {
      const own = ["--stub", stub, "--efi-arch", EFI_ARCHES[architecture] ?? "", "--hwids", "", "--os-release", "ID=x"];
      const args = ["build", ...own, ...linux, "--cmdline", "a b"];
      const peer = runPeer("ukify", [...args, "--output", theirs]);
      expect(peer.status, peer.stderr).toBe(0);
      const result = await seal(["build-uki", ...args, "--output", ours]);
      expect(result.code, result.stderr).toBe(0);
      expect(peDifferences(readFileSync(ours), readFileSync(theirs))).toEqual([]);
      expect((await inspect(ours)).sections.map(({ name }) => name)).toContain(".cmdline");
    }
  });
});
