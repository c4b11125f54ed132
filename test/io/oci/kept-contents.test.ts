import { describe, expect, it } from "vitest";
import { utf8 } from "../../../src/bytes.ts";
import { isNeeded } from "../../../src/io/oci/kept-contents.ts";
import { ReadingState } from "../../../src/io/oci/reading-state.ts";
import { mayBeKey } from "../../../src/lint/private-keys.ts";
import { splitPath } from "../../../src/tree/node.ts";

const MIB = 1n << 20n;

describe("contents that are kept", () => {
  it("have at most 192 MiB, whichever thread keeps them", () => {
    const one = new ReadingState(2);
    const other = new ReadingState(one.memory);
    expect(one.reserve(192n * MIB + 1n)).toBe(false);
    expect(one.reserve(100n * MIB)).toBe(true);
    expect(other.reserve(92n * MIB + 1n)).toBe(false);
    expect(other.reserve(2n ** 62n)).toBe(false);
    expect(other.reserve(92n * MIB)).toBe(true);
    expect(one.reserve(1n)).toBe(false);
  });

  it("are for a digest only what it depends on, and never what is large and of no use", () => {
    const wanted = (path: string, size: bigint) => [
      isNeeded(utf8(path), size, "all"),
      isNeeded(utf8(path), size, "digest"),
    ];
    expect(wanted("./etc/selinux/targeted/policy/policy.33", 8n * MIB)).toEqual([true, true]);
    expect(wanted("usr/lib/modules/6.12/vmlinuz", 8n * MIB)).toEqual([true, false]);
    expect(wanted("etc/pki/key", 64n << 10n)).toEqual([true, false]);
    expect(wanted("etc/pki/key", (64n << 10n) + 1n)).toEqual([false, false]);
    expect(wanted("usr/bin/program", 1n)).toEqual([false, false]);
  });

  it.each([
    "etc/ssh/ssh_host_rsa_key",
    "./.usr/x",
    "..usr/x",
    "/.//usr",
    "usr/lib/x.key/.",
    "usr/./x.pem/",
    "usr/share/id_rsa",
    "usr/id_ed25519_sk",
    "usr//lib/my_key",
    "srv/data",
    "",
  ])("have %j, where it may be a private key", (path) => {
    const may = mayBeKey(splitPath(utf8(path)), 1000n);
    expect(may && !isNeeded(utf8(path), 1000n, "all")).toBe(false);
  });
});
