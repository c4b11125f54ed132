/** Signing and verifying a large UKI, and its growth. */
import { randomFillSync } from "node:crypto";
import { openSync, readFileSync, rmSync, writeFileSync, writevSync } from "node:fs";
import { join } from "node:path";
import { parsePe } from "../src/pe/headers.ts";
import { assembleUki } from "../src/pe/uki.ts";
import { findPeer, type Peer, peerTree } from "../test/support/peers.ts";
import { type Benchmark, type Contender, measure, sealCommand } from "./frame.ts";

const KEYS = new URL("../test/vectors/authenticode/keys/", import.meta.url);

/** A UKI with an initrd of so many bytes that don't compress, and a key with its certificate. */
function makeUki(directory: string, initrdBytes: number): void {
  const stub = parsePe([readFileSync(join(peerTree("trixie"), "usr/lib/systemd/boot/efi/linuxx64.efi.stub"))], "stub");
  const content = Buffer.alloc(initrdBytes);
  for (let start = 0; start < initrdBytes; start += 1 << 24) randomFillSync(content.subarray(start, start + (1 << 24)));
  const uki = assembleUki(stub, [{ name: ".initrd", content: [content] }]);
  writevSync(openSync(join(directory, "uki.efi"), "w"), [...uki]);
  for (const name of ["signer.key", "signer.crt"])
    writeFileSync(join(directory, name), readFileSync(new URL(name, KEYS)));
}

/** @param isReplaced whether seal replaces the file of the turn before, which is then flushed; sbsign never does that */
function signers(directory: string, isReplaced = false): Contender[] {
  const key = ["--key", "signer.key", "--cert", "signer.crt"];
  const peer = (name: Peer, ...args: string[]): Contender => ({
    name,
    cwd: directory,
    command: [findPeer(name) ?? name, ...args],
  });
  const before = () => (isReplaced ? undefined : rmSync(join(directory, "new"), { recursive: true, force: true }));
  const command = sealCommand("sign", "uki.efi", ...key, "--output", "new/seal.efi");
  return [
    { name: "seal", cwd: directory, before, command },
    peer("sbsign", ...key, "--output", "sbsign.efi", "uki.efi"),
  ];
}

function verifiers(directory: string): Contender[] {
  const [sign] = signers(directory);
  if (sign !== undefined) measure(sign);
  const args = ["--cert", "signer.crt", "new/seal.efi"];
  return [
    { name: "seal", cwd: directory, command: sealCommand("verify", ...args) },
    { name: "sbverify", cwd: directory, command: [findPeer("sbverify") ?? "sbverify", ...args] },
  ];
}

const MIB = 1 << 20;

export const benchmarks: readonly Benchmark[] = [
  {
    kind: "compare",
    title: "sign a UKI of 100 MiB",
    needs: ["sbsign"],
    rounds: 5,
    aim: { times: 1.1, mebibytes: 120 },
    prepare: (directory) => {
      makeUki(directory, 100 * MIB);
      return signers(directory);
    },
  },
  {
    kind: "compare",
    title: "sign a UKI of 100 MiB in the place of another, which seal flushes",
    needs: ["sbsign"],
    rounds: 5,
    prepare: (directory) => {
      makeUki(directory, 100 * MIB);
      return signers(directory, true);
    },
  },
  {
    kind: "compare",
    title: "verify a UKI of 100 MiB",
    needs: ["sbsign", "sbverify"],
    rounds: 5,
    aim: { times: 1.1, mebibytes: 120 },
    prepare: (directory) => {
      makeUki(directory, 100 * MIB);
      return verifiers(directory);
    },
  },
  {
    kind: "compare",
    title: "sign a UKI of 1 GiB",
    needs: ["sbsign"],
    rounds: 3,
    full: true,
    prepare: (directory) => {
      makeUki(directory, 1024 * MIB);
      return signers(directory);
    },
  },
];
