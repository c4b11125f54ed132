import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat } from "../../src/chunks.ts";
import { SealError } from "../../src/errors.ts";
import { decodeGuid, knownGuid } from "../../src/sign/guid.ts";
import { isVariableStore, parseVariableStore, type StoredVariable, writeVariableStore } from "../../src/sign/ovmf.ts";
import { emptyStore } from "../support/variable-store.ts";

const vendor = knownGuid("8be4df61-93ca-11d2-aa0d-00e098032b8c");
const parse = (file: Uint8Array) => parseVariableStore(file, "vars.fd");
const variable = (name: string, value: Uint8Array = Uint8Array.of(1)): StoredVariable => ({
  name,
  vendor,
  attributes: 7,
  time: new Uint8Array(16),
  monotonicCount: 0n,
  publicKeyIndex: 0,
  value,
});
const store = parse(emptyStore());
const filled = writeVariableStore(store, [variable("Timeout"), variable("Ä", new Uint8Array(5))]);
/** Offsets in `filled`: the volume's header, the store's, then the first variable. */
const STORE = 72;
const FIRST = 100;

function patched(offset: number, ...bytes: readonly number[]): Uint8Array {
  const copy = Uint8Array.from(filled);
  copy.set(bytes, offset);
  return copy;
}

describe("variable stores", () => {
  it("come back from their bytes, and what is not a variable stays", () => {
    const guid = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(decodeGuid);
    const one: fc.Arbitrary<StoredVariable> = fc.record({
      name: fc.string({ minLength: 1, maxLength: 20, unit: "binary" }).filter((name) => !name.includes("\0")),
      vendor: guid,
      attributes: fc.nat(0xff),
      time: fc.uint8Array({ minLength: 16, maxLength: 16 }),
      monotonicCount: fc.bigInt(0n, 2n ** 64n - 1n),
      publicKeyIndex: fc.nat(0xffff_ffff),
      value: fc.uint8Array({ maxLength: 40 }),
    });
    const list = fc.uniqueArray(one, { maxLength: 8, selector: ({ name, vendor: id }) => `${id} ${name}` });
    fc.assert(
      fc.property(list, (variables) => {
        const file = writeVariableStore(store, variables);
        expect(parse(file).variables).toEqual(variables);
        expect(file.subarray(0, FIRST)).toEqual(store.file.subarray(0, FIRST));
        expect(file.subarray(store.end)).toEqual(store.file.subarray(store.end));
      }),
    );
  });

  it("have the layout of EDK II", () => {
    expect(Buffer.from(filled.subarray(FIRST, FIRST + 80)).toString("hex")).toBe(
      [
        "aa553f00", // StartId, State, Reserved
        "07000000", // Attributes
        "0000000000000000", // MonotonicCount
        "00000000000000000000000000000000", // TimeStamp
        "00000000", // PubKeyIndex
        "10000000", // NameSize
        "01000000", // DataSize
        "61dfe48bca93d211aa0d00e098032b8c",
        "540069006d0065006f00750074000000",
        "01ffffff",
      ].join(""),
    );
  });

  it("forget deleted variables, and keep those that were about to be replaced unless they were", () => {
    expect(parse(patched(FIRST + 2, 0x3d)).variables.map(({ name }) => name)).toEqual(["Ä"]);
    expect(parse(patched(FIRST + 2, 0x3c)).variables.map(({ name }) => name)).toEqual(["Ä"]);
    expect(parse(patched(FIRST + 2, 0x7f)).variables.map(({ name }) => name)).toEqual(["Ä"]);
    expect(parse(patched(FIRST + 2, 0x3e)).variables.map(({ name }) => name)).toEqual(["Ä", "Timeout"]);
    const twice = writeVariableStore(store, [variable("A", Uint8Array.of(1)), variable("A", Uint8Array.of(2))]);
    twice[FIRST + 2] = 0x3e;
    expect(parse(twice).variables.map(({ value }) => value[0])).toEqual([2]);
  });

  it("are not written when they do not fit", () => {
    const room = store.end - FIRST - 60 - 4;
    expect(parse(writeVariableStore(store, [variable("A", new Uint8Array(room))])).variables).toHaveLength(1);
    expect(() => writeVariableStore(store, [variable("A", new Uint8Array(room + 1))])).toThrow(/^vars\.fd: too small/);
  });

  it("are recognised by their volume", () => {
    expect(isVariableStore(filled)).toBe(true);
    expect(isVariableStore(filled.subarray(0, 30))).toBe(false);
    expect(isVariableStore(new Uint8Array(100))).toBe(false);
  });
});

describe("hostile variable stores", () => {
  it.each<[string, Uint8Array, RegExp]>([
    ["nothing", new Uint8Array(), /not a variable store/],
    ["a qcow2 image", concat([Buffer.from("QFI\xfb", "latin1"), filled]), /qemu-img convert/],
    ["another volume", patched(16, 0), /not a variable store/],
    ["no volume signature", patched(40, 0), /not a (?:firmware volume|variable store)/],
    ["a volume longer than the file", patched(32, 0, 0, 0, 0, 1), /truncated: the firmware volume has 4294967296/],
    ["a header longer than the file", patched(48, 0xfe, 0xff), /impossible size|needs bytes/],
    ["a header of odd size", patched(48, 73), /impossible size/],
    ["a header of size 0", patched(48, 0, 0), /impossible size/],
    ["a wrong checksum", patched(50, 1), /checksum/],
    [
      "a store without signatures",
      patched(STORE, ...Buffer.from("16 36 cf dd 75 32 64 41 98 b6 fe 85 70 7f fe 7d".replaceAll(" ", ""), "hex")),
      /does not support Secure Boot/,
    ],
    ["another store", patched(STORE, 0), /unknown type of variable store/],
    ["an unformatted store", patched(STORE + 20, 0xff), /not formatted/],
    ["a blank store of zeros", new Uint8Array(0x84000), /blank variable store, which its firmware formats/],
    ["a blank store that was erased", new Uint8Array(0x84000).fill(0xff), /blank variable store/],
    ["an unhealthy store", patched(STORE + 21, 0xff), /not formatted/],
    ["a store of size 0", patched(STORE + 16, 0, 0, 0, 0), /impossible size 0/],
    ["a store longer than the volume", patched(STORE + 16, 0, 0, 1, 0), /longer than its firmware volume/],
    ["a name longer than the store", patched(FIRST + 36, 0, 0, 1), /longer than the store/],
    ["a value longer than the store", patched(FIRST + 40, 0xff, 0xff, 0xff, 0xff), /longer than the store/],
    ["sizes that overlap the next variable", patched(FIRST + 40, 30), /neither a variable nor erased flash/],
    ["sizes that end early", patched(FIRST + 36, 4), /an invalid name|neither a variable/],
    ["a name without end", patched(FIRST + 60 + 14, 1), /an invalid name/],
    ["a name with NUL", patched(FIRST + 60 + 2, 0, 0), /an invalid name/],
    ["an empty name", patched(FIRST + 36, 0), /an invalid name/],
    ["a variable that was never finished", patched(FIRST + 2, 0xff), /not written completely/],
    ["the same variable twice", writeVariableStore(store, [variable("A"), variable("A")]), /"A" twice/],
    ["a byte in erased flash", patched(store.end - 1, 0), /neither a variable nor erased flash/],
  ])("%s: refused", (_, file, message) => {
    expect(() => parse(file)).toThrow(message);
    expect(() => parse(file)).toThrow(SealError);
  });

  it("every truncation is refused", () => {
    for (let length = 0; length < filled.length; length += 61)
      expect(() => parse(filled.subarray(0, length))).toThrow(SealError);
  });

  it("mutations give a store that is written back the same, or an input error", () => {
    const edits = fc.array(fc.tuple(fc.nat(FIRST + 200), fc.uint8Array({ minLength: 1, maxLength: 4 })), {
      minLength: 1,
    });
    fc.assert(
      fc.property(edits, (list) => {
        const file = Uint8Array.from(filled);
        for (const [offset, bytes] of list) file.set(bytes, offset);
        try {
          const { variables } = parse(file);
          expect(parse(writeVariableStore(parse(file), variables)).variables).toEqual(variables);
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
