import { describe, expect, it } from "vitest";
import { findSection, parsePe } from "../../src/pe/headers.ts";
import { mergeSbat, sbatOf } from "../../src/pe/sbat.ts";
import { decodeText } from "../../src/text.ts";
import { vector } from "../support/vectors.ts";

const HEADER = "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n";

function merged(...texts: string[]): string {
  return Buffer.from(mergeSbat(texts.map((text) => ({ subject: "s", text }))).content).toString();
}

describe("mergeSbat", () => {
  it("joins the lines of all sources behind one header", () => {
    expect(merged("sbat,1,x\na,1\nb,1\n", "sbat,9,y\nc,2")).toBe(`${HEADER}a,1\nb,1\nc,2\n`);
  });
  it("takes every kind of line end", () => {
    expect(merged("sbat,1\r\na\rb\u2028c\u0085d\v\fe")).toBe(`${HEADER}a\nb\nc\nd\n\ne\n`);
  });
  it("names the sources that it leaves out", () => {
    const { content, skipped } = mergeSbat([
      { subject: "one", text: "" },
      { subject: "two", text: "sbatter,1\nx" },
      { subject: "three", text: "sbat,1\nkept" },
    ]);
    expect(Buffer.from(content).toString()).toBe(`${HEADER}kept\n`);
    expect(skipped).toEqual(["one", "two"]);
  });
});

describe("sbatOf", () => {
  it("reads a kernel's section without its zeros", () => {
    const [source] = sbatOf(parsePe([vector("uki/inputs/kernel-sbat-nul")], "kernel"));
    expect(source?.text).toMatch(/^sbat,1,[^\0]+$/);
  });
  it("finds nothing in a section without data, wherever that points", () => {
    const kernel = Buffer.from(vector("uki/inputs/kernel-sbat"));
    const section = findSection(parsePe([kernel], "kernel"), ".sbat");
    kernel.writeUInt32LE(0, (section?.headerOffset ?? 0) + 16);
    kernel.writeUInt32LE(0xffff_fff0, (section?.headerOffset ?? 0) + 20);
    expect(sbatOf(parsePe([kernel], "kernel"))).toEqual([]);
  });
  it("refuses bytes that are no text", () => {
    expect(() => decodeText(Uint8Array.of(0xff), "kernel (.sbat)")).toThrow("kernel (.sbat): is not valid UTF-8");
  });
});
