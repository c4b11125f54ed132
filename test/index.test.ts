import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { writeSampleTree } from "../examples/demo/sample-tree.ts";
import * as api from "../src/index.ts";
import { seal } from "./support/cli.ts";
import { tempDir } from "./support/temp.ts";
import { vector } from "./support/vectors.ts";

it("seals from a program with the public API alone, as the command does", async () => {
  const cwd = tempDir();
  writeSampleTree(join(cwd, "root"));
  const { rootfs } = await api.openRootfs("root", { cwd, algorithm: "sha512", xattrs: ["security.capability"] });
  const profile = api.profileFor("latest");
  const [digest] = await api.composefsDigests(rootfs, {
    targets: [profile],
    algorithm: "sha512",
    transform: "boot",
    xattrs: "allowlist",
    mtime: "exact",
  });
  if (digest === undefined) throw new Error("no digest");
  const { privateKey } = await api.openKeyFile(vector("authenticode/keys/signer.key"), "signer.key", null);
  const [certificate] = api.readCertificateFile(vector("authenticode/keys/signer.crt"), "signer.crt");
  if (certificate === undefined) throw new Error("no certificate");
  const signer = api.createSignerFrom(privateKey, [certificate], []);

  const sealed = await api.sealTree(rootfs, {
    uki: {
      kernel: null,
      kver: null,
      arch: null,
      uname: undefined,
      osRelease: undefined,
      stub: null,
      otherStub: () => Promise.reject(new Error("the tree has a stub")),
      cmdline: "",
      kargsD: true,
      digests: [api.composefsKarg(digest, "composefs", false)],
      kargs: [],
      extras: api.NO_EXTRAS,
    },
    bootloader: async ({ arch }) =>
      (await api.treeBootloader(rootfs, arch)) ?? Promise.reject(new Error("no boot loader")),
    signing: { signer, time: null, now: new Date(), kernel: null },
    layout: { entryToken: null, enrollKeys: null, loader: { timeout: null, enroll: null } },
  });

  for (const name of ["signer.key", "signer.crt"]) {
    writeFileSync(join(cwd, name), vector(`authenticode/keys/${name}`));
  }
  await seal(["rootfs", "root", "--key", "signer.key", "--cert", "signer.crt", "--output", "out"], { cwd });
  for (const { path, content } of sealed.plan.files) {
    expect(Buffer.concat(content).equals(readFileSync(join(cwd, "out/boot", path))), path).toBe(true);
  }
});

it("computes what a machine measures, and compares it with an event log, with the public API alone", () => {
  const log = api.parseEventLog(vector("event-log/ovmf-systemd.bin.gz"), "log");
  const logged = api.extendingEvents(log, 11);
  const uki = api.parsePe([vector("uki/outputs/all.262.efi.gz")], "uki.efi");
  const [set] = api.measuredSets(api.profileGroups(uki), 0);
  if (set === undefined) throw new Error("no profile");
  const banks = ["sha256"] as const;
  const chain = { bootLoader: null, uki: new api.ImagePass(uki, "verify"), addons: [], taken: [], sidecars: [] };
  const phases = ["enter-initrd"];
  const options = { policy: api.readPolicy([], "firmware"), banks, phases, kernelArguments: "", now: new Date() };
  const { pcrs: references, unknown } = api.bootReference(chain, set, options);
  expect({ pcrs: references.map(({ pcr }) => pcr), unknown }).toEqual({ pcrs: [4, 7, 11, 12], unknown: null });
  const pcr11 = references.find(({ pcr }) => pcr === 11);
  const [predicted] = api.predictPcr11(set.sections, banks, phases);
  expect(pcr11?.phases[0]?.values["sha256"]).toEqual(predicted?.value);
  expect(api.replayEvents(pcr11?.events ?? [], "sha256")).toEqual(pcr11?.values["sha256"]);
  expect(api.findLogDifference(pcr11?.events ?? [], logged, banks)).toMatch(
    /^event 2 should be EV_IPL \(content of \.linux\)/,
  );
});
