import { linkSync, mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { execaSync } from "execa";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../../src/bytes.ts";
import { SealError } from "../../../src/errors.ts";
import { wholeFile } from "../../../src/io/oci/stored-file.ts";
import { archiveKey, listArchive, type Member } from "../../../src/io/tar/members.ts";
import { tarArchive, tarFile, tarHeader } from "../../support/tar.ts";
import { tempDir } from "../../support/temp.ts";

const LONG = `blobs/${"d".repeat(90)}/${"e".repeat(200)}/file`;
const FILES: Readonly<Record<string, string>> = {
  "oci-layout": "{}",
  "blobs/sha256/empty": "",
  "blobs/sha256/block": "b".repeat(512),
  "blobs/sha256/more": "m".repeat(1000),
};

async function list(file: string): Promise<ReadonlyMap<string, Member>> {
  return listArchive(await wholeFile("x.tar", file));
}

async function listBytes(...parts: readonly Uint8Array[]): Promise<ReadonlyMap<string, Member>> {
  const file = join(tempDir(), "x.tar");
  writeFileSync(file, Buffer.concat(parts));
  return list(file);
}

describe("the members of an archive", () => {
  it.each(["v7", "ustar", "gnu", "pax", "oldgnu"])("are where tar --format=%s puts them", async (format) => {
    const root = tempDir();
    const files = format === "v7" || format === "ustar" ? FILES : { ...FILES, [LONG]: "long", "blobs/ä€": "no ASCII" };
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(root, name)), { recursive: true });
      writeFileSync(join(root, name), content);
    }
    symlinkSync("sha256/more", join(root, "blobs/soft"));
    linkSync(join(root, "oci-layout"), join(root, "other"));
    const archive = join(tempDir(), "x.tar");
    execaSync("tar", ["-cf", archive, `--format=${format}`, "--sort=name", "-C", root, "."]);
    const members = await list(archive);
    const bytes = readFileSync(archive);
    for (const [name, content] of Object.entries(files)) {
      const member = members.get(archiveKey(utf8(name)));
      if (member?.kind !== "file") throw new Error(`${name} is not there`);
      expect(bytes.toString("latin1", member.start, member.start + member.size)).toBe(content);
    }
    expect(members.get("blobs/soft")).toEqual({ kind: "link", target: "blobs/sha256/more" });
    expect(members.get("other")).toEqual({ kind: "link", target: "oci-layout" });
    expect(members.size).toBe(Object.keys(files).length + 2);
  });

  it("are those of the last of two of one name", async () => {
    const members = await listBytes(tarArchive(tarFile("a", utf8("1")), tarFile("./a", utf8("22"))));
    expect([...members]).toEqual([["a", { kind: "file", start: 1536, size: 2 }]]);
  });

  it("are found without reading contents", async () => {
    const file = join(tempDir(), "x.tar");
    const size = 6 * 2 ** 30;
    writeFileSync(file, tarArchive(tarFile("index.json", utf8("{}"))).subarray(0, 1024));
    writeFileSync(file, tarHeader({ name: "layer", size }), { flag: "a" });
    truncateSync(file, 1536 + size + 1024);
    const start = performance.now();
    expect((await list(file)).get("layer")).toEqual({ kind: "file", start: 1536, size });
    // No disk reads so fast.
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  it("are refused where they are cut off", async () => {
    const archive = tarArchive(tarFile("a", Buffer.alloc(700)), tarFile("b", utf8("b")));
    for (let length = 1; length < 1536 + 1024 + 1024; length += 97) {
      await expect(listBytes(archive.subarray(0, length))).rejects.toThrow("x.tar: is truncated or not a tar archive");
    }
  });

  it.each([
    ["a wrong checksum", () => tarFile("a", utf8("a")).fill(1, 0, 1), /a tar header has a wrong checksum/],
    ["a size that is none", oddSize, /has impossible values/],
    ["a sparse file", () => tarHeader({ name: "a", type: "S" }), /neither file, directory nor link/],
    ["an unknown kind", () => tarHeader({ name: "a", type: "Q" }), /neither file, directory nor link/],
  ])("are refused for %s", async (_what, entry, message) => {
    await expect(listBytes(tarArchive(entry()))).rejects.toThrow(message);
  });

  it("are inside of the archive, or it is refused, however it is damaged", async () => {
    const archive = tarArchive(
      tarFile("oci-layout", utf8("{}")),
      tarFile("blobs/x", Buffer.alloc(600, "x")),
      tarHeader({ name: "l", type: "2", link: "blobs/x" }),
    );
    const damage = fc.record({ at: fc.nat(archive.length - 1), value: fc.nat(255), sum: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 3 }), async (changes) => {
        const bytes = Buffer.from(archive);
        for (const { at, value, sum } of changes) {
          bytes[at] = value;
          if (sum) repairSum(bytes, at - (at % 512));
        }
        try {
          for (const member of (await listBytes(bytes)).values()) {
            if (member.kind === "file") expect(member.start + member.size).toBeLessThanOrEqual(bytes.length);
          }
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
          expect((error as SealError).code).toBe("input");
        }
      }),
      { numRuns: 300 },
    );
  });
});

function oddSize(): Buffer {
  const header = tarHeader({ name: "a" });
  header.write("xyz", 124);
  repairSum(header, 0);
  return header;
}

/** Gives a header the checksum of what it has now, so that the reader gets further. */
function repairSum(bytes: Buffer, start: number): void {
  bytes.fill(" ", start + 148, start + 156);
  const sum = bytes.subarray(start, start + 512).reduce((total, byte) => total + byte, 0);
  bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, start + 148);
}
