import { describe, expect, it } from "vitest";
import {
  composefsDigestOf,
  enforcesVerity,
  guestCredentials,
  parseGuestLine,
} from "../../../src/boot/console/guest-units.ts";

const DIGEST = "8c".repeat(64);
const OPTIONS = "ro,relatime,lowerdir=/proc/self/fd/5::/proc/self/fd/6,redirect_dir=on,metacopy=on,verity=require";

function rootOf(line: string) {
  const answer = parseGuestLine(line);
  if (answer?.kind !== "root") throw new Error(`no answer: ${line}`);
  return answer.root;
}

describe("what the guest is asked", () => {
  it("is two units and the wish for them, on the console that is given", () => {
    const credentials = guestCredentials("ttyAMA0");
    const text = (name: string) => Buffer.from(credentials.get(name) ?? []).toString();
    const wants = text("systemd.unit-dropin.sysinit.target");
    const units = [...wants.matchAll(/[\w-]+\.service/g)].map(([unit]) => unit);
    expect(units).toHaveLength(2);
    for (const unit of units) {
      expect(text(`systemd.extra-unit.${unit}`)).toContain("TTYPath=/dev/ttyAMA0\n");
      // Not in the initramfs, which gets the credentials too.
      expect(text(`systemd.extra-unit.${unit}`)).toContain("ConditionPathExists=!/etc/initrd-release\n");
      // Both, because a line can get lost where several units write at once.
      expect(text(`systemd.extra-unit.${unit}`)).toContain("SEAL-BOOT-TEST root");
    }
    expect(credentials.size).toBe(3);
  });
});

describe("what it answers", () => {
  it("names the root filesystem and whether it enforces fs-verity", () => {
    const root = rootOf(`SEAL-BOOT-TEST root composefs:${DIGEST} overlay ${OPTIONS} .`);
    expect(composefsDigestOf(root)).toBe(DIGEST);
    expect(enforcesVerity(root)).toBe(true);
  });

  it.each([
    ["an overlay that does not insist", `composefs:${DIGEST} overlay ${OPTIONS.replace(",verity=require", "")}`],
    [
      "an overlay that checks what has a digest only",
      `composefs:${DIGEST} overlay ${OPTIONS.replace("require", "on")}`,
    ],
    ["a layer on top of it", `transient:composefs=${DIGEST} overlay ${OPTIONS}`],
    ["another overlay", `overlay overlay ${OPTIONS}`],
    ["a disk", "/dev/vda2 ext4 rw,relatime,verity=require"],
    ["an option that only looks like it", `composefs:${DIGEST} overlay ro,lowerdir=verity=require`],
  ])("does not take %s for one that enforces", (_, mount) => {
    expect(enforcesVerity(rootOf(`SEAL-BOOT-TEST root ${mount} .`))).toBe(false);
  });

  it.each([
    "SEAL-BOOT-TEST root composefs:12 overlay ro,verity=req",
    "SEAL-BOOT-TEST root composefs:12 overlay ro[    8.1] x: y .",
    "SEAL-BOOT-TEST root ",
    "SEAL-BOOT-TEST u[    8.1] random: crng init done",
    "[  OK  ] Finished seal-boot-test-root.service.",
  ])("does not take a torn line for an answer: %s", (line) => {
    expect(parseGuestLine(line)).toBeNull();
  });
});
