/** `seal inspect` against `ukify inspect` of systemd 262, on UKIs with the real kernel and from the vectors. */
import { cpSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { peReportSchema } from "../../src/cli/inspect/pe-report.ts";
import { seal } from "../support/cli.ts";
import { describeWith, peerTree, realRootfs, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

/** Sections by name, in order, as ukify tells them, with those of profiles behind the others. */
interface UkifySection {
  readonly size: number;
  readonly sha256: string;
  readonly text?: string;
}
type UkifyReport = Record<string, UkifySection | UkifySection[]>;

function ukifySections(json: string): Record<string, UkifySection[]> {
  const { _profiles = [], ...base } = JSON.parse(json) as UkifyReport & { _profiles?: UkifyReport[] };
  const all: Record<string, UkifySection[]> = {};
  for (const [name, value] of [base, ..._profiles].flatMap((profile) => Object.entries(profile))) {
    all[name] = [...(all[name] ?? []), ...(Array.isArray(value) ? value : [value])];
  }
  return all;
}

async function sealSections(path: string): Promise<Record<string, UkifySection[]>> {
  const { stdout } = await seal(["inspect", path, "--json"]);
  const all: Record<string, UkifySection[]> = {};
  for (const { name, size, sha256, text } of peReportSchema.parse(JSON.parse(stdout)).sections) {
    all[name] = [...(all[name] ?? []), { size, sha256, ...(text === undefined ? {} : { text }) }];
  }
  return all;
}

describeWith(["ukify"], "seal inspect and ukify inspect", () => {
  it.each([
    ...["all", "profiles-2", "profiles-pcrsig", "initrd-empty-single", "cmdline-file-verbatim", "sbat-kernel-nul"],
    ...["efifw", "hwids", "pcrsig-dtbauto", "policy-digest", "section-custom", "profile-single"],
  ])("agree on the sections of %s", async (name) => {
    const path = join(tempDir(), "x.efi");
    writeFileSync(path, vector(`uki/outputs/${name}.262.efi.gz`));
    const peer = runPeer("ukify", ["inspect", path, "--all", "--json=short"]);
    expect(await sealSections(path)).toEqual(ukifySections(peer.stdout.toString()));
  });
});

describeWith(["ukify", "rootfs", "root"], "seal inspect and ukify inspect of a real UKI", () => {
  it("agree on sections, cmdline and version", async () => {
    const directory = tempDir();
    const kernel = join(realRootfs() ?? "", "usr/lib/modules");
    cpSync(kernel, join(directory, "modules"), { recursive: true, filter: (path) => !path.endsWith("/kernel") });
    cpSync(join(peerTree("sid"), "usr/lib/systemd/boot/efi/linuxx64.efi.stub"), join(directory, "stub"));
    const { stdout } = runPeer("ukify", ["--version"]);
    expect(stdout.toString()).toContain("262");
    const version = readdirSync(join(directory, "modules"))[0] ?? "";
    const path = join(directory, "x.efi");
    const built = runPeer("ukify", [
      "build",
      ...["--linux", join(directory, "modules", version, "vmlinuz")],
      ...["--initrd", join(directory, "modules", version, "initramfs.img")],
      ...["--stub", join(directory, "stub"), "--cmdline", "rw quiet", "--os-release", "ID=x", "--output", path],
    ]);
    expect(built).toMatchObject({ status: 0 });
    const peer = runPeer("ukify", ["inspect", path, "--all", "--json=short"]);
    expect(await sealSections(path)).toEqual(ukifySections(peer.stdout.toString()));
    const report = JSON.parse((await seal(["inspect", path, "--json"])).stdout);
    expect(report).toMatchObject({
      type: "uki",
      arch: "x64",
      kver: version,
      cmdline: "rw quiet",
      osRelease: { ID: "x" },
    });
  });
});
