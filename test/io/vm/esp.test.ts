import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { makeEsp } from "../../../src/io/vm/esp.ts";
import { snapshot, write } from "../../support/inputs.ts";
import { describeWith, findPeer, runPeer } from "../../support/peers.ts";
import { tempDir } from "../../support/temp.ts";

describeWith(["mkfs.vfat", "mcopy", "mdeltree"], "an EFI system partition", () => {
  it.each([false, true])("holds what firmware and boot loader read; without keys: %s", async (withoutKeys) => {
    const cwd = tempDir();
    const files = {
      "EFI/BOOT/BOOTX64.EFI": Buffer.alloc(100_001, 1),
      "EFI/Linux/6.12.107+deb13-amd64.efi": Buffer.alloc(3 << 20, 2),
      "loader/loader.conf": "timeout 0\n",
      "loader/keys/auto/PK.auth": "PK",
    };
    for (const [path, content] of Object.entries(files)) write(join(cwd, "boot"), path, content);
    writeFileSync(join(cwd, "boot/vmlinuz"), "is not read from here");
    const tool = (name: "mkfs.vfat" | "mcopy" | "mdeltree") => findPeer(name) ?? "";
    const tools = { "mkfs.vfat": tool("mkfs.vfat"), mcopy: tool("mcopy"), mdeltree: tool("mdeltree") };
    const image = join(cwd, "esp.img");
    await makeEsp({ boot: join(cwd, "boot"), image, withoutKeys, tools, env: process.env });

    mkdirSync(join(cwd, "read"));
    const { status, stderr } = runPeer("mcopy", ["-s", "-n", "-i", image, "::/*", join(cwd, "read")], { cwd });
    expect(status, stderr).toBe(0);
    const expected = Object.entries(files).filter(([path]) => !withoutKeys || !path.includes("keys"));
    for (const [path, content] of expected)
      expect(readFileSync(join(cwd, "read", path)).equals(Buffer.from(content)), path).toBe(true);
    const paths = snapshot(join(cwd, "read")).filter((line) => !line.endsWith(" "));
    expect(paths).toHaveLength(expected.length);
  });
});
