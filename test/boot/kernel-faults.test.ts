import { expect, it } from "vitest";
import { describeFault, kernelFault } from "../../src/boot/kernel-faults.ts";
import { cpioOf } from "../support/cpio.ts";
import { digestOf, lintContext, SPLIT, sealedTree } from "../support/lint.ts";

it.each([
  "7.0",
  "7.0-rc1",
  "7.0.0",
  "7.0.0-15-generic",
  "7.0.1",
  "7.0.3-200.fc44.x86_64",
  "7.0.3-arch1-2",
  "7.0.4+deb14-amd64",
  "7.0.6",
  "7.0.6_1",
])("Linux %s has the fault of 7.0", (version) => {
  const fault = kernelFault(version);
  expect(fault === null ? null : describeFault(fault)).toMatch(/^Linux 7\.0\.0 to 7\.0\.6: .*bootc issue 2174/);
});

it.each([
  "6.19.14",
  "6.7.0",
  "7.0.7",
  "7.0.7-200.fc44.x86_64",
  "7.0.10",
  "7.0.60",
  "7.0.3.1",
  "7.1.3",
  "7.10.3",
  "17.0.3",
  "70.3",
  "7",
  "",
  "kernel-7.0.3",
  "seven",
])("Linux %j has none that is known", (version) => {
  expect(kernelFault(version)).toBeNull();
});

it.each([
  ["7.0.3-200.fc44.x86_64", "composefs=", null],
  ["7.0.7-200.fc44.x86_64", "composefs=", true],
  ["7.0.3-200.fc44.x86_64", "composefs=?", true],
])("a UKI with Linux %s and %s boots: %j", async (uname, word, ok) => {
  const initrd = cpioOf({ "usr/bin/composefs-setup-root": "/composefs-0.9.4/", init: "composefs-setup-root" });
  const files = await sealedTree({ uname, initrd, cmdline: `${word}${await digestOf(SPLIT)}` });
  const [uki] = await lintContext(files).hosts();
  const newest = uki?.verdicts.at(-1);
  expect(newest?.boots.ok).toBe(ok);
  expect(newest?.boots.reasons.map(({ id, text }) => `${id}: ${text}`)).toEqual(
    ok === null
      ? [expect.stringMatching(/^kernel: if kernel 7\.0\.3-200\.fc44\.x86_64 is patched: Linux 7\.0\.0 to/)]
      : [],
  );
  expect(newest?.kind).toBe("accepts");
});
