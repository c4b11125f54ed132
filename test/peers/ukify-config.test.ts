/**
 * Configurations of ukify: what the real ukify 262 (and 257, where it knows the settings) builds from
 * one, seal builds too.
 */
import { copyFileSync, cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { applyUkifyConfig, parseUkifyConfig, UKIFY_SETTINGS } from "../../src/cli/build-uki/ukify-config.ts";
import { seal } from "../support/cli.ts";
import { peDifferences } from "../support/pe-diff.ts";
import { describeWith, type Peer, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";
import { UKI_INPUTS } from "../support/uki-cases.ts";

const FILES = [
  ...["kernel", "stub-wide", "osrel", "cmdline", "initrd-1", "initrd-2", "initrd-3", "dtb", "dtb-auto-1", "dtb-auto-2"],
  ...["splash.bmp", "ucode", "pcr.pub", "pcr.key", "sbat-extra"],
];

/** A directory that both can read, with the golden inputs. */
function inputs(): string {
  const directory = tempDir();
  for (const name of FILES) copyFileSync(join(UKI_INPUTS, name), join(directory, name));
  cpSync(join(UKI_INPUTS, "hwids"), join(directory, "hwids"), { recursive: true });
  return directory;
}

/** Runs both with a configuration. Both work in `/`, which is what relative paths start from. */
async function both(peer: Peer, directory: string, config: string, args: readonly string[]) {
  const [ours, theirs] = [join(directory, "ours.efi"), join(directory, "theirs.efi")];
  for (const path of [ours, theirs]) rmSync(path, { force: true });
  const file = join(directory, "uki.conf");
  writeFileSync(file, config);
  const result = await seal(["build-uki", "build", ...args, "--config", file, "-o", ours], { cwd: "/" });
  const other = runPeer(peer, ["build", ...args, "--config", file, "--output", theirs], { cwd: "/" });
  return { ours, theirs, result, other };
}

async function expectSame(peer: Peer, directory: string, config: string, args: readonly string[] = []) {
  const { ours, theirs, result, other } = await both(peer, directory, config, args);
  expect(other.status, other.stderr).toBe(0);
  expect(result.code, result.stderr).toBe(0);
  expect(peDifferences(readFileSync(ours), readFileSync(theirs))).toEqual([]);
  return result;
}

describeWith(["ukify"], "a configuration of ukify means to seal what it means to ukify 262", () => {
  it("with each setting that says what is in a UKI, and a command line that says more", async () => {
    const directory = inputs();
    const at = (name: string) => join(directory, name);
    const config = `# all that goes in
[UKI]
Linux = ${at("kernel")}
Initrd = ${at("initrd-1")} ${at("initrd-2")}   # microcode first
Cmdline = root=LABEL=x   rw
   quiet  # goes on
   "a b"

OSRelease=@${at("osrel")}
Uname = 6.1-config
Stub=${at("stub-wide")}
EFIArch = x64
Splash = ${at("splash.bmp")}
DeviceTree = ${at("dtb")}
DeviceTreeAuto = ${at("dtb-auto-1")}
   ${at("dtb-auto-2")}
HWIDs = ${at("hwids")}
Microcode = ${at("ucode")}
PCRPKey = ${at("pcr.pub")}
SBAT = @${at("sbat-extra")}
SignKernel = No
PCRBanks = sha256, sha1,
`;
    await expectSame("ukify", directory, config);
    await expectSame("ukify", directory, config, ["--uname", "given", "--cmdline", "given", "--splash", at("dtb")]);
    await expectSame("ukify", directory, config, ["--initrd", at("initrd-3"), "--sbat", "sbat,1,x\nown,1"]);
    const measured = await both("ukify", directory, config, ["--measure"]);
    expect(measured.result.stdout).toBe(String(measured.other.stdout));
  });

  it("with defaults, sections that come again, settings that nobody knows, and paths from the working directory", async () => {
    const directory = inputs();
    const relative = join(directory, "initrd-2").slice(1);
    const config = `[DEFAULT]
Uname = default
Frob = 1
[UKI]
Stub = ${join(directory, "stub-wide").slice(1)}
Cmdline = first
[Other]
x = y
[UKI] trailing
Initrd = ${relative}
HWIDs =
Cmdline = = second#no comment
`;
    const { stderr } = await expectSame("ukify", directory, config);
    expect(stderr).toMatch(/uki\.conf:3: unknown setting \[UKI\] Frob\n/);
    expect(stderr).toMatch(/uki\.conf:8: unknown setting \[Other\] x\n/);
  });

  it("in any text that looks like a configuration", async () => {
    const directory = inputs();
    const line = fc.oneof(
      fc.constantFrom("[UKI]", "[UKI] x", " [UKI]", "[DEFAULT]", "[PCRSignature:a]", "[Other]", "", "  ", "#", " # x"),
      fc.constantFrom("Uname=1", "  Uname = 2 # no", "Cmdline = a", "\tCmdline=@ b", "Uname", "= 3", "OSRelease=ID=x"),
      fc.constantFrom(
        "  more",
        "    more still",
        "\tTab=x",
        "more # less",
        "mo#re",
        "Initrd =",
        "Cmdline =",
        "\u00a0x=1",
      ),
      fc.constantFrom("SBAT = sbat,1,x", " own,1,a,b", "Profile = ID=p", "SignKernel=off", "Uname=\r"),
    );
    const text = fc
      .array(line, { maxLength: 9 })
      .map((lines) => `[UKI]\nStub=${directory}/stub-wide\n${lines.join("\n")}`);
    let built = 0;
    await fc.assert(
      fc.asyncProperty(text, async (config) => {
        const { ours, theirs, result, other } = await both("ukify", directory, config, []);
        expect(result.code === 0, `${result.stderr}\n${other.stderr}`).toBe(other.status === 0);
        if (other.status !== 0) return;
        built++;
        expect(peDifferences(readFileSync(ours), readFileSync(theirs))).toEqual([]);
      }),
      // About one in three is built: with these it is never chance that few are.
      { numRuns: 100 },
    );
    expect(built).toBeGreaterThan(10);
  });

  it("with keys for PCR policies, each with what it has", () => {
    const file = join(tempDir(), "uki.conf");
    const config = `[PCRSignature:first]
PCRPrivateKey = /first.key
[UKI]
PCRBanks = sha256
[PCRSignature:second]
Phases = enter-initrd enter-initrd:leave-initrd,
PCRPrivateKey = /second.key
PolicyRef = r
[PCRSignature:first]
PCRPrivateKey = /again.key
`;
    writeFileSync(file, config);
    const given = { pcrPrivateKey: ["/given.key"], phases: ["sysinit"] };
    const args = ["--pcr-private-key", "/given.key", "--phases", "sysinit", "--summary", "--config", file];
    const summary = String(runPeer("ukify", ["build", "--linux", "/x", ...args]).stdout);
    /** A list that ukify prints as Python writes it. */
    const listOf = (name: string): unknown => {
      const text = new RegExp(`'${name}': (\\[[^]*?\\]),\\n '`).exec(summary)?.[1] ?? "null";
      return JSON.parse(text.replaceAll("None", "null").replaceAll("'", '"'));
    };
    const { raw } = applyUkifyConfig(parseUkifyConfig(Buffer.from(config), file), given);
    expect(raw["pcrPrivateKey"]).toEqual(listOf("pcr_private_keys"));
    expect(raw["policyref"]).toEqual(listOf("policyrefs"));
    const paths = (text: unknown) =>
      typeof text === "string" ? text.split(/[ ,]/).filter((path) => path !== "") : null;
    expect((raw["phases"] as unknown[]).map(paths)).toEqual(listOf("phase_path_groups"));
  });

  it("and every setting that ukify has is known", () => {
    const help = String(runPeer("ukify", ["build", "--help"]).stdout).split("config file:")[1] ?? "";
    const settings: string[] = [];
    let section = "";
    for (const line of help.split("\n").map((one) => one.trim())) {
      if (line.startsWith("[")) section = line.replace(/^\[(.*?)(?:NAME)?\]$/, "$1");
      else if (line !== "") settings.push(`${section}/${line.split(" ")[0]}`);
    }
    expect(settings.length).toBeGreaterThan(30);
    expect(UKIFY_SETTINGS.toSorted()).toEqual(settings.toSorted());
  });
});

describeWith(["ukify-257"], "a configuration of ukify means to seal what it means to ukify 257", () => {
  it("with the settings that it has", async () => {
    const directory = inputs();
    const at = (name: string) => join(directory, name);
    // A single profile has no .sbat, which 257 ends in another way.
    const config = `[UKI]
Profile = ID=only
   TITLE=x
Initrd = ${at("initrd-1")}
    ${at("initrd-2")}
Cmdline = @${at("cmdline")}
Stub = ${at("stub-wide")}
OSRelease = ID=x
   NAME=y
Splash = ${at("splash.bmp")}
`;
    await expectSame("ukify-257", directory, config, ["--initrd", at("initrd-3")]);
    expect(existsSync(at("ours.efi"))).toBe(true);
  });
});
