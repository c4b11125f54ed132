import { describe, expect, it } from "vitest";
import { utf8 } from "../../src/bytes.ts";
import type { RegularFile } from "../../src/tree/node.ts";
import { PROGRAM_LIMIT, readNode, readTreeFile, resolvePath, TEXT_LIMIT } from "../../src/tree/rootfs.ts";
import { memoryRootfs } from "../support/tree.ts";

const rootfs = memoryRootfs({
  "etc/a": "short",
  "usr/lib/os-release": "x".repeat(100),
  "etc/os-release": { link: "../usr/lib/./os-release" },
  "etc/self": { link: "self" },
  "etc/out": { link: "../../x" },
  "etc/host": { link: "/etc/passwd" },
  "etc/\xff": "not UTF-8",
});
const text = async (path: string, limit?: bigint) => {
  const bytes = await readTreeFile(rootfs, path, limit);
  return bytes === null ? null : Buffer.from(bytes).toString();
};

describe("readTreeFile", () => {
  it("reads what is there, through relative symlinks", async () => {
    expect(await text("etc/a")).toBe("short");
    expect(await text("/etc//os-release")).toBe("x".repeat(100));
    expect(await text("etc/none")).toBeNull();
    expect(await text("etc/a/b")).toBeNull();
  });

  it.each([
    ["etc", /etc: is a directory, not a regular file/],
    ["etc/self", /too many symlinks/],
    ["etc/out", /a symlink leads out of the tree/],
    ["etc/host", /is absolute and would be read from this machine/],
  ])("refuses %s", async (path, message) => {
    await expect(text(path)).rejects.toThrow(message);
  });

  it("follows forty symlinks and no more, as Linux does", async () => {
    const chain = (length: number) =>
      memoryRootfs({
        end: "x",
        ...Object.fromEntries(
          Array.from({ length }, (_, index) => [`l${index}`, { link: index === 0 ? "end" : `l${index - 1}` }]),
        ),
      });
    expect(resolvePath(chain(40), "l39")?.node.kind).toBe("regular");
    expect(() => resolvePath(chain(41), "l40")).toThrow(/too many symlinks/);
  });

  it("reads no more than the limit", async () => {
    expect(await text("etc/os-release", 100n)).toHaveLength(100);
    await expect(text("etc/os-release", 99n)).rejects.toMatchObject({
      code: "input",
      message: expect.stringMatching(
        /: usr\/lib\/os-release: too large: 100 bytes, the limit is 99; is it the right file\?$/,
      ),
    });
    await expect(text("etc/a", 4n)).rejects.toThrow(/too large: 5 bytes/);
  });

  it("does not ask for the content of a text that fits into no string", async () => {
    const found = resolvePath(rootfs, "usr/lib/os-release");
    if (found?.node.kind !== "regular") throw new Error("no file");
    const file = (size: bigint): RegularFile => ({
      ...(found.node as RegularFile),
      content: { kind: "external", size, digest: null, payload: null },
    });
    const unread = { ...rootfs, readContent: () => Promise.reject(new Error("was read")) };
    const path = [utf8("x")];
    await expect(readNode(unread, path, file(TEXT_LIMIT))).rejects.toThrow("was read");
    await expect(readNode(unread, path, file(TEXT_LIMIT + 1n))).rejects.toThrow(/x: too large: 67108865 bytes/);
    await expect(readNode(unread, path, file(PROGRAM_LIMIT), PROGRAM_LIMIT)).rejects.toThrow("was read");
  });
});
