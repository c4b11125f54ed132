import { spawnSync } from "node:child_process";
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseIni } from "../../../src/cli/build-uki/ini.ts";
import { applyUkifyConfig, isUkifyConfig, parseUkifyConfig } from "../../../src/cli/build-uki/ukify-config.ts";
import { SealError } from "../../../src/errors.ts";
import { seal } from "../../support/cli.ts";
import { describeWith } from "../../support/peers.ts";
import { tempDir } from "../../support/temp.ts";
import { UKI_INPUTS } from "../../support/uki-cases.ts";

const PROGRAM = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));

/** Builds in a directory with the golden inputs; the configuration is `uki.conf` there. */
async function build(config: string, args: readonly string[] = []) {
  const cwd = tempDir();
  for (const name of [
    "kernel",
    "stub-wide",
    "initrd-1",
    "initrd-2",
    "pcr.key",
    "pcr.pub",
    "db2048.key",
    "db2048.crt",
  ]) {
    copyFileSync(join(UKI_INPUTS, name), join(cwd, name));
  }
  writeFileSync(join(cwd, "uki.conf"), config);
  const given = args.includes("--no-config") ? [] : ["--config", "uki.conf"];
  const rest = args.filter((argument) => argument !== "--no-config");
  const result = await seal(["build-uki", ...rest, ...given, "--output", "out.efi"], { cwd });
  const written = readdirSync(cwd).includes("out.efi");
  return { ...result, cwd, bytes: written ? readFileSync(join(cwd, "out.efi")) : null };
}

/** What a configuration is joined to options as. */
const apply = (text: string, given: Parameters<typeof applyUkifyConfig>[1] = {}) =>
  applyUkifyConfig(parseUkifyConfig(Buffer.from(text), "x.conf"), given);

const BASE = ["--linux", "kernel", "--stub", "stub-wide", "--os-release", ""];
const BASE_CONFIG = "[UKI]\nLinux = kernel\nStub = stub-wide\nOSRelease =\n";

describe("ukify's configuration", () => {
  it("is the same as the options", async () => {
    const options = ["--initrd", "initrd-1", "--initrd", "initrd-2", "--cmdline", "a b", "--pcr-banks", "sha256"];
    const keys = ["--pcr-private-key", "pcr.key", "--pcr-public-key", "pcr.pub", "--phases", "enter-initrd"];
    const signing = ["--key", "db2048.key", "--cert", "db2048.crt", "--no-sign-kernel"];
    const config = `${BASE_CONFIG}Cmdline = a\n  b\nInitrd = initrd-1\nPCRBanks=sha256
SecureBootPrivateKey=db2048.key
SecureBootCertificate=db2048.crt
SecureBootSigningTool=systemd-sbsign
SecureBootCertificateValidity=30
SignKernel=no
[PCRSignature:initrd]
PCRPrivateKey=pcr.key
PCRPublicKey=pcr.pub
Phases=enter-initrd`;
    const plain = await build("", [...BASE, ...options, ...keys, ...signing, "--no-config"]);
    expect(plain.code, plain.stderr).toBe(0);
    const configured = await build(config, ["--initrd", "initrd-2"]);
    expect(configured.code, configured.stderr).toBe(0);
    expect(plain.bytes?.equals(configured.bytes ?? Buffer.alloc(0))).toBe(true);
  });

  it("gives each PCRSignature its place beside the keys of the command line", () => {
    const text = "[PCRSignature:a]\nPCRPrivateKey=a\n[PCRSignature:b]\nPhases=ready\nPCRPrivateKey=b\nPolicyRef=r";
    expect(apply(text, { pcrPrivateKey: ["c"], phases: ["sysinit"] }).raw).toEqual({
      pcrPrivateKey: ["c", "a", "b"],
      phases: ["sysinit", null, "ready"],
      policyref: [null, null, "r"],
    });
  });

  it("takes a key's missing phases for the default ones", async () => {
    const config = `${BASE_CONFIG}PCRBanks=sha256\n[PCRSignature:a]\nPCRPrivateKey=pcr.key
[PCRSignature:b]\nPCRPrivateKey=pcr.key\nPhases=final\n`;
    const result = await build(config);
    expect(result.code, result.stderr).toBe(0);
    const text = result.bytes?.toString("latin1") ?? "";
    expect([...text.matchAll(/"pol": /g)]).toHaveLength(5);
  });

  it("loses against the command line, and comes before its lists", () => {
    const text = "[UKI]\nCmdline=x\nInitrd=a\u3000b\nDeviceTreeAuto=c\nFirmware=d e\nSignKernel=ON";
    expect(apply(text, { cmdline: "y", initrd: ["z"], signKernel: false, stub: undefined }).raw).toEqual({
      cmdline: "y",
      initrd: ["a", "b", "z"],
      devicetreeAuto: ["c"],
      efifw: ["d e"],
      signKernel: false,
      stub: undefined,
    });
  });

  it.each<[string, string, RegExp]>([
    [
      "text before a section",
      "Linux=kernel\n[UKI]\n",
      /^seal: uki\.conf:1: "Linux=kernel" comes before the first section/,
    ],
    ["a line without =", "[UKI]\n# c\nLinux\n", /^seal: uki\.conf:3: "Linux" is not a setting; give KEY=VALUE/],
    [
      "a long line without =",
      `[UKI]\n${"x".repeat(5000)}\n`,
      /^seal: uki\.conf:2: "x{200}…" is not a setting; give KEY=VALUE/,
    ],
    ["a value without key", "[UKI]\n = 1\n", /^seal: uki\.conf:2: "= 1" is not a setting/],
    ["a truth that is none", "[UKI]\nSignKernel=maybe\n", /^seal: uki\.conf:2: SignKernel: give yes or no/],
    ["another architecture", "[UKI]\nLinux=kernel\n\nEFIArch=pdp11\n", /^seal: uki\.conf:4: EFIArch: give one of x64/],
    ["an unknown phase", "[UKI]\n[PCRSignature:a]\nPhases=x\n", /^seal: uki\.conf:3: Phases: give phase paths/],
    ["pesign", "[UKI]\nSecureBootSigningTool=pesign\n", /^seal: uki\.conf:2: SecureBootSigningTool: seal signs itself/],
    [
      "an engine",
      "[UKI]\nSigningEngine=pkcs11\n",
      /^seal: uki\.conf:2: SigningEngine: OpenSSL engines are not supported/,
    ],
    ["an NSS database", "[UKI]\nSecureBootCertificateName=db\n", /SecureBootCertificateName: NSS databases are not/],
    [
      "a key too few",
      "[PCRSignature:a]\nPhases=ready\n[PCRSignature:b]\nPCRPrivateKey=b\n",
      /^seal: uki\.conf:4: PCRPrivateKey: a \[PCRSignature:…\] before this one has no PCRPrivateKey/,
    ],
  ])("refuses %s, and says in which line", async (_, config, message) => {
    const result = await build(config);
    expect(result.stderr).toMatch(message);
    expect(result).toMatchObject({ code: 2, stdout: "", bytes: null });
  });

  it("is for build-uki only, and told from seal.toml by its sections", async () => {
    const cwd = tempDir();
    writeFileSync(join(cwd, "uki.conf"), "[UKI]\nLinux=x\n");
    const result = await seal(["lint", "--list", "-c", "uki.conf"], { cwd });
    expect(result).toMatchObject({ code: 2, stdout: "" });
    expect(result.stderr).toBe("seal: uki.conf: is a ukify configuration, which only seal build-uki accepts\n");
    expect(isUkifyConfig("# x\n  [PCRSignature:a]\n")).toBe(true);
    expect(isUkifyConfig("[build-uki]\nlinux='[UKI]'\n")).toBe(false);
  });

  it("is read or refused with the number of a line, whatever is in it", () => {
    const piece = fc.constantFrom(
      "[UKI]",
      "[",
      "]",
      "=",
      "\n",
      " ",
      "\t",
      "#",
      "Uname",
      "Initrd",
      "[DEFAULT]",
      "\r",
      "x",
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string()), { maxLength: 20 }), (pieces) => {
        try {
          for (const { settings } of parseIni(pieces.join(""), "x.conf")) {
            for (const { key, line } of settings) expect([key === "", line > 0]).toEqual([false, true]);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
          expect((error as SealError).message).toMatch(/^x\.conf:\d+: /);
        }
      }),
    );
  });
});

describeWith(["root"], "ukify.conf where systemd looks for it", () => {
  it("is read in ukify's mode, unless another file is named", async () => {
    const cwd = tempDir();
    for (const name of ["stub-wide", "db2048.key"]) copyFileSync(join(UKI_INPUTS, name), join(cwd, name));
    writeFileSync(join(cwd, "none.toml"), "");
    writeFileSync(join(cwd, "ukify.conf"), "[UKI]\nStub=stub-wide\nCmdline=machine\n");
    const own = `mount -t tmpfs none /run && mkdir /run/systemd && cp ukify.conf /run/systemd/ && exec "$@"`;
    const run = (args: readonly string[]) => {
      const command = ["-m", "sh", "-c", own, "sh", process.execPath, PROGRAM, ...args];
      const { stdout, stderr } = spawnSync("unshare", command, { cwd, encoding: "utf8" });
      return stderr + stdout;
    };
    expect(run(["build-uki", "-o", "a.efi"])).toMatch(/^settings from \/run\/systemd\/ukify\.conf, as with ukify/);
    expect(run(["inspect", "a.efi", "--section", ".cmdline"])).toBe("machine");
    expect(run(["build-uki", "-o", "b.efi", "--config", "none.toml"])).toMatch(/^seal: .*can't read the EFI stub/);
    expect(run(["lint", "--list"])).not.toMatch(/ukify\.conf/);
  });
});
