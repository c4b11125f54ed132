import { describe, expect, it } from "vitest";
import { utf8 } from "../../../src/bytes.ts";
import { KeptContents } from "../../../src/io/oci/kept-contents.ts";
import type { ExternalContent } from "../../../src/tree/node.ts";

const MIB = 1n << 20n;
const INITRAMFS = utf8("usr/lib/modules/6.12/initramfs.img");

function content(size: bigint): ExternalContent {
  return { kind: "external", size, digest: null, payload: null };
}

describe("KeptContents", () => {
  it("keeps at most 192 MiB, however many files are wanted", () => {
    const kept = new KeptContents("all");
    expect(kept.reserve(INITRAMFS, 192n * MIB + 1n)).toBe(false);
    expect(kept.reserve(INITRAMFS, 100n * MIB)).toBe(true);
    const first = content(100n * MIB);
    kept.keep(first, utf8("first"));
    expect(kept.reserve(INITRAMFS, 92n * MIB + 1n)).toBe(false);
    expect(kept.reserve(utf8("usr/bin/program"), 1n)).toBe(false);
    expect(kept.reserve(INITRAMFS, 92n * MIB)).toBe(true);
    expect(kept.reserve(INITRAMFS, 1n)).toBe(false);
    expect(kept.get(first)).toEqual(utf8("first"));
  });

  it("keeps for a digest only what it depends on, and never what is large and of no use", () => {
    const all = new KeptContents("all");
    const digest = new KeptContents("digest");
    const wanted = (path: string, size: bigint) => [all, digest].map((kept) => kept.wants(utf8(path), size));
    expect(wanted("./etc/selinux/targeted/policy/policy.33", 8n * MIB)).toEqual([true, true]);
    expect(wanted("usr/lib/modules/6.12/vmlinuz", 8n * MIB)).toEqual([true, false]);
    expect(wanted("etc/pki/key", 64n << 10n)).toEqual([true, false]);
    expect(wanted("etc/pki/key", (64n << 10n) + 1n)).toEqual([false, false]);
    expect(wanted("usr/bin/program", 1n)).toEqual([false, false]);
  });
});
