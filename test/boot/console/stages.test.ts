import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BOOT_STAGES } from "../../../src/boot/console/lines.ts";
import { type BootState, watchBoot } from "../../../src/boot/console/stages.ts";
import { utf8 } from "../../../src/bytes.ts";

const LOADER = "EFI/BOOT/BOOTX64.EFI";
const UKI = "EFI/Linux/6.12.107+deb13-amd64.efi";
/** Serial consoles of OVMF 2025.02 with systemd-boot 257 and Linux 6.12. */
const recorded = (name: string) => readFileSync(new URL(`serial/${name}.txt`, import.meta.url));

function watchAll(bytes: Uint8Array, expectText: string | null, chunk = bytes.length): BootState {
  const watch = watchBoot(expectText, LOADER);
  let state = watch.push(new Uint8Array());
  for (let offset = 0; offset < bytes.length; offset += chunk)
    state = watch.push(bytes.subarray(offset, offset + chunk));
  return state;
}

const lines = (...text: readonly string[]) => utf8(text.map((line) => `${line}\r\n`).join(""));
const START = [
  'BdsDxe: loading Boot0001 "UEFI Non-Block Boot Device" from PciRoot(0x0)/Pci(0x1,0x0)',
  'BdsDxe: starting Boot0001 "UEFI Non-Block Boot Device" from PciRoot(0x0)/Pci(0x1,0x0)',
];

describe("recorded consoles, in pieces of any size", () => {
  it.each([1, 2, 7, 64, 100_000])("%i bytes", (chunk) => {
    const look = (name: string, text: string | null) => watchAll(recorded(name), text, chunk);
    expect(look("boots", null)).toMatchObject({ stage: "kernel", stop: null });
    expect(look("boots", "SEALED-OK")).toMatchObject({ stage: "expected", stop: null });
    expect(look("boots", "something else")).toMatchObject({ stage: "kernel", stop: null });
    const byLoader = { kind: "refused", by: "boot-loader", file: UKI };
    expect(look("refused-uki", "SEALED-OK")).toMatchObject({ stage: "boot-loader", stop: byLoader });
    const byFirmware = { kind: "refused", by: "firmware", file: LOADER };
    expect(look("refused-loader", null)).toMatchObject({ stage: "firmware", stop: byFirmware });
    expect(look("enrolled", "SEALED-OK")).toMatchObject({ stage: "expected", stop: null });
  });

  it("never goes back, however much of one has come", () => {
    const bytes = recorded("boots");
    const stages = Array.from({ length: bytes.length }, (_, length) =>
      watchAll(bytes.subarray(0, length), "SEALED-OK"),
    );
    const order = stages.map(({ stage }) => BOOT_STAGES.indexOf(stage));
    expect(order).toEqual([...order].sort((a, b) => a - b));
    const seen = ["nothing", "firmware", "boot-loader", "kernel", "expected"];
    expect(new Set(stages.map(({ stage }) => stage))).toEqual(new Set(seen));
    expect(stages.every(({ stop }) => stop === null)).toBe(true);
  });
});

describe("a sealed image on a disk", () => {
  const all = ["firmware", "boot-loader", "kernel", "image", "root"];

  it.each([1, 64, 100_000])("is watched to the end, %i bytes at a time", (chunk) => {
    const state = watchAll(recorded("sealed-image"), "TELL-END", chunk);
    expect(state).toMatchObject({ stage: "expected", seen: [...all, "expected"], stop: null, corrupted: null });
    expect(state.root?.options).toContain("verity=require");
  });

  it("has come up when systemd says so, in old words and new ones, or the guest does", () => {
    for (const line of [
      "[  OK  ] Reached target \x1b[0;1;39mmulti-user.target\x1b[0m - Multi-User System.",
      "[  OK  ] Reached target Graphical Interface.",
      "SEAL-BOOT-TEST up .",
    ])
      expect(watchAll(lines(...START, line), null).stage, line).toBe("system");
    expect(watchAll(lines("[  OK  ] Reached target basic.target - Basic System."), null).stage).toBe("nothing");
  });

  it.each([
    ["no-digest", "Error: no composefs karg found in kernel cmdline"],
    ["no-digest", "Error: No composefs image in cmdline"],
    ["malformed-digest", "Error: invalid composefs= digest length: 12"],
    ["no-image", `Error: no composefs image found (tried: ${"ab".repeat(64)})`],
    ["no-image", `    2: image not found: ${"ab".repeat(64)}`],
    [
      "repository-without-verity",
      "Error: repository was not initialized with fs-verity (hint: re-create with `cfsctl init` …)",
    ],
    ["image-without-verity", "    2: fs-verity is not enabled on file"],
    ["image-changed", "    1: fs-verity content mismatch"],
    ["no-repository", "    0: meta.json not found; this repository must be initialized with `cfsctl init`"],
    ["no-state", `Failed to open dir "${"ab".repeat(64)}"`],
  ])("is refused by the initramfs: %s", (problem, line) => {
    const state = watchAll(lines(...START, "[    0.000000] Linux version 6.12", line), null);
    expect(state).toMatchObject({ stage: "kernel", stop: { kind: "no-root", problem, reason: line.trim() } });
  });

  // What journald writes on the console of the errors of bootc-root-setup.service (StandardError=journal+console), then
  // systemd of the unit.
  it.each([
    ["no-image", "    1: image not found: ", `${"ab".repeat(64)}`],
    ["no-digest", "Error: No composefs image in cmdline", ""],
    ["no-state", 'Error: Opening dir "', `${"ab".repeat(64)}"`],
    ["image-changed", "    2: fs-verity content mismatch", ""],
  ])("is refused by bootc's unit in a dracut initramfs: %s", (problem, start, end) => {
    const unit = [
      "[    4.512345] systemd[1]: Starting bootc-root-setup.service - bootc setup root...",
      "[    4.612345] initramfs-setup[412]: Error: Setting up /sysroot",
      "[    4.612400] initramfs-setup[412]: ",
      "[    4.612401] initramfs-setup[412]: Caused by:",
      `[    4.612402] initramfs-setup[412]: ${start}${end}`,
      "[FAILED] Failed to start bootc-root-setup.service - bootc setup root.",
      "[  OK  ] Reached target emergency.target - Emergency Mode.",
    ];
    const state = watchAll(lines(...START, "[    0.000000] Linux version 6.12", ...unit), null);
    expect(state).toMatchObject({ stage: "kernel", stop: { kind: "no-root", problem } });
  });

  it("stops when bootc's unit fails for another reason", () => {
    const unit = ["[FAILED] Failed to start bootc-root-setup.service.", "[  OK  ] Reached target Emergency Mode."];
    const state = watchAll(lines(...START, "[    0.000000] Linux version 6.12", ...unit), null);
    expect(state).toMatchObject({ stage: "kernel", stop: { kind: "emergency" } });
  });

  it("goes on when only one of several digests is not there", () => {
    const line = `composefs: image ${"ab".repeat(64)} not found, trying next karg`;
    expect(watchAll(lines(...START, line), null).stop).toBeNull();
  });

  it("remembers the first file that differed from its digest, and goes on", () => {
    const bad = "[    9.120000] fs-verity (vda2, inode 17): FILE CORRUPTED! pos=0, level=-1, want_hash=sha512:ab";
    const state = watchAll(lines(...START, bad, bad.replace("17", "18"), "SEAL-BOOT-TEST up ."), null);
    expect(state).toMatchObject({ stage: "system", stop: null, corrupted: expect.stringContaining("inode 17") });
  });

  it("stops when systemd entered emergency mode", () => {
    const line = 'You are in emergency mode. After logging in, type "journalctl -xb" to view';
    expect(watchAll(lines(...START, line), null).stop).toEqual({ kind: "emergency", reason: line });
  });
});

describe("single lines", () => {
  it.each([
    ["Kernel panic", "[    1.234567] Kernel panic - not syncing: VFS: Unable to mount root fs", "kernel", "panic"],
    [
      "a UKI that is not an EFI program",
      "\\EFI\\Linux\\x: Error loading \\EFI\\Linux\\x.efi: Unsupported",
      "boot-loader",
      "failed",
    ],
    ["nothing on the disk", "BdsDxe: No bootable option or device was found.", "boot-loader", "failed"],
    [
      "a security violation",
      'BdsDxe: failed to load Boot0001 "x" from y: Security Violation',
      "boot-loader",
      "refused",
    ],
    ["a boot loader that is missing", 'BdsDxe: failed to load Boot0001 "x" from y: Not Found', "boot-loader", "failed"],
  ])("%s", (_, line, stage, kind) => {
    const before = stage === "kernel" ? [...START, "[    0.000000] Linux version 6.12"] : START;
    const state = watchAll(lines(...before, line), null);
    expect(state).toMatchObject({ stage, stop: { kind } });
  });

  it("sees the kernel's EFI stub", () => {
    expect(
      watchAll(lines(...START, "EFI stub: Loaded initrd from LINUX_EFI_INITRD_MEDIA_GUID device path"), null).stage,
    ).toBe("kernel");
  });

  it("sees a prompt, which has no end of line, and text between colours", () => {
    expect(watchAll(utf8("\x1b[1mdebian\x1b[0m login: "), "login:").stage).toBe("expected");
    expect(watchAll(lines("\x1b[32mSEALED\x1b[0m-OK"), "SEALED-OK").stage).toBe("expected");
    expect(watchAll(lines("grüße"), "grüße", 1).stage).toBe("expected");
  });

  it("does not see text that goes over the end of a line", () => {
    expect(watchAll(lines("SEALED-", "OK"), "SEALED-OK").stage).toBe("nothing");
  });
});

describe("a hostile console", () => {
  it("takes no more memory or time for lines without end", () => {
    const watch = watchBoot("SEALED-OK", LOADER);
    const part = utf8("\x1b[".repeat(2000) + "x".repeat(60_000));
    for (let count = 0; count < 200; count++) watch.push(part);
    expect(watch.lastLines().join("").length).toBeLessThan(10_000);
    expect(watch.push(utf8("SEALED-OK")).stage).toBe("expected");
  });

  it("gives plain text and a valid state for any bytes", () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc
        .constantFrom(
          ...START,
          "\x1b[2J",
          "Error loading ",
          ": Access denied",
          "\r\n",
          "\x1b]0;x\x07",
          "\x1b]",
          "\x1bP1",
        )
        .map(utf8),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const watch = watchBoot("SEALED-OK", LOADER);
        for (const bytes of pieces) expect(BOOT_STAGES).toContain(watch.push(bytes).stage);
        // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
        expect(watch.lastLines().join("")).not.toMatch(/[\x00-\x1f\x7f-\x9f]/);
      }),
    );
  });
});
