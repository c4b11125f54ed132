import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { type GroupValues, optionGroup } from "../../../src/cli/options/group.ts";
import { choice, count, either, flag, flagOrChoice, off, path, text, value } from "../../../src/cli/options/option.ts";
import { parseValues, type RawValues } from "../../../src/cli/options/parse.ts";
import { spellings } from "../../../src/cli/options/spelling.ts";

const group = optionGroup("Everything", {
  word: choice(["a", "b"], { default: "b", help: "a word" }),
  words: choice(["a", "b"], { many: true, help: "words" }),
  file: path({ required: "give the file", short: "o", help: "a file" }),
  directories: path({ many: true, complete: "directory", help: "directories" }),
  jobs: count({ min: 1, max: 1024, help: "threads", shownDefault: "all cores" }),
  seconds: count({ min: 1, max: 99, of: "seconds", default: 30, help: "how long" }),
  size: value(
    () =>
      z
        .string()
        .regex(/^\d+K$/, "give a size")
        .transform((given) => Number.parseInt(given, 10)),
    { default: "64K", help: "size" },
  ),
  nullable: value(() => z.string().nullable(), { many: true, help: "perhaps a text each" }),
  json: flag({ help: "as JSON" }),
  measure: flag({ no: "hidden", help: "measure" }),
  kargsD: off({ help: "without kargs.d" }),
  signKernel: either({ no: "as it is", shownDefault: "where needed", help: "sign it" }),
  format: flagOrChoice(["pretty", "short"], { placeholder: "format", help: "how" }),
  label: text({ aliases: ["--name"], help: "a label" }),
});

const parse = (raw: RawValues): GroupValues<typeof group> => parseValues({}, group.declarations, raw);

/** What is wrong with values. */
function problem(
  options: ReturnType<typeof optionGroup>,
  raw: RawValues,
  origins?: ReadonlyMap<string, string>,
): string {
  try {
    parseValues({}, options.declarations, raw, origins);
    return "";
  } catch (error) {
    expect(error).toMatchObject({ code: "usage" });
    return error instanceof Error ? error.message : "";
  }
}

describe("declared options", () => {
  it("have values of the types that follow from their declarations", async () => {
    const values = parse({ file: "x" });
    expectTypeOf(values).toEqualTypeOf<{
      readonly word: "a" | "b";
      readonly words: readonly ("a" | "b")[];
      readonly file: string;
      readonly directories: readonly string[];
      readonly jobs: number | undefined;
      readonly seconds: number;
      readonly size: number;
      readonly nullable: readonly (string | null)[];
      readonly json: boolean;
      readonly measure: boolean;
      readonly kargsD: boolean;
      readonly signKernel: boolean | undefined;
      readonly format: boolean | "pretty" | "short";
      readonly label: string | undefined;
    }>();
    expect(values).toEqual({
      word: "b",
      words: [],
      file: "x",
      directories: [],
      jobs: undefined,
      seconds: 30,
      size: 64,
      nullable: [],
      json: false,
      measure: false,
      kargsD: true,
      signKernel: undefined,
      format: false,
      label: undefined,
    });
  });

  it("take what is given instead", async () => {
    const given = { words: ["b", "a"], nullable: [null, "x"], kargsD: false, signKernel: false, format: "short" };
    expect(parse({ file: "x", word: "a", seconds: "7", size: "8K", ...given })).toMatchObject({
      word: "a",
      seconds: 7,
      size: 8,
      ...given,
    });
  });

  it("take an empty list, which only a configuration has, as nothing given", async () => {
    const many = optionGroup(null, { release: text({ many: true, default: ["latest"], help: "" }) });
    expect(parseValues({}, many.declarations, { release: [] })).toEqual({ release: ["latest"] });
  });

  it.each<[RawValues, string]>([
    [{}, "--file: give the file"],
    [{ file: "" }, "--file: give the file"],
    [{ file: "x", word: "c" }, "--word: give one of a, b"],
    [{ file: "x", words: ["a", "c"] }, "--words: give one of a, b"],
    [{ file: "x", directories: [""] }, "--directories: give a directory"],
    [{ file: "x", jobs: "0" }, "--jobs: give a whole number from 1 to 1024"],
    [{ file: "x", jobs: "1025" }, "--jobs: give a whole number from 1 to 1024"],
    [{ file: "x", jobs: "0x10" }, "--jobs: give a whole number from 1 to 1024"],
    [{ file: "x", jobs: "" }, "--jobs: give a whole number from 1 to 1024"],
    [{ file: "x", seconds: "soon" }, "--seconds: give seconds, a whole number from 1 to 99"],
    [{ file: "x", size: "64" }, "--size: give a size"],
    [{ file: "x", format: "long" }, "--format: give no value, pretty or short"],
    [
      { word: "c", jobs: "x" },
      "--word: give one of a, b; --file: give the file; --jobs: give a whole number from 1 to 1024",
    ],
  ])("refuse %j", async (raw, message) => {
    expect(problem(group, raw)).toBe(message);
  });

  it("are spelled as they are called", async () => {
    expect(spellings(group.declarations).map(({ name, hidden }) => (hidden ? `(${name})` : name))).toEqual(
      "word words file directories jobs seconds size nullable json measure (no-measure) no-kargs-d sign-kernel no-sign-kernel format label".split(
        " ",
      ),
    );
  });

  it("show the default that applies", async () => {
    const shown = Object.entries(group.declarations).flatMap(([name, one]) =>
      one.shown === null ? [] : [[name, one.shown]],
    );
    expect(Object.fromEntries(shown)).toEqual({
      word: "b",
      jobs: "all cores",
      seconds: "30",
      size: "64K",
      signKernel: "where needed",
    });
  });
});

describe("a group of options", () => {
  it("can be taken in part: flag and value are gone, and the compiler knows", async () => {
    const part = group.without("word", "file");
    expect(spellings(part.declarations).map(({ name }) => name)).not.toContain("word");
    const values = parseValues({}, part.declarations, { word: "a" });
    expect(values).not.toHaveProperty("word");
    expectTypeOf(values).not.toHaveProperty("word");
    expectTypeOf(values.json).toEqualTypeOf<boolean>();
    // @ts-expect-error there is no such option
    group.without("wrod");
  });

  it("can be told of in another way", async () => {
    const other = group.with({ jobs: { shownDefault: "one", help: "workers" } });
    expect(other.declarations.jobs).toMatchObject({ shown: "one", help: "workers" });
    expect(other.declarations.word).toBe(group.declarations.word);
    expect(group.declarations.jobs.shown).toBe("all cores");
    // @ts-expect-error there is no such option
    group.with({ jbos: { help: "" } });
  });

  it("can be joined with another one, unless both have an option", async () => {
    const more = optionGroup("More", { more: flag({ help: "more" }) });
    const joined = group.without("json").and(more);
    expectTypeOf<GroupValues<typeof joined>["more"]>().toEqualTypeOf<boolean>();
    expect(Object.keys(joined.declarations).at(-1)).toBe("more");
    expect(joined.declarations.more.heading).toBe("More");
    expect(() => group.and(optionGroup(null, { json: flag({ help: "again" }) }))).toThrow("json is declared twice");
  });
});

describe("options that go together", () => {
  const related = optionGroup(null, {
    from: text({ help: "" }),
    rootfs: text({ default: "/target", help: "" }),
    kver: text({ requires: { anyOf: ["from", "absent"] }, help: "" }),
    size: text({
      requires: { anyOf: ["from"], matching: /^dir:/, problem: (from) => `goes with dir:PATH, not with ${from}` },
      help: "",
    }),
    tree: flag({ requires: "rootfs", help: "" }),
    key: text({ excludes: ["signer"], help: "" }),
    signer: text({ excludes: ["key"], help: "" }),
    keys: text({ many: true, help: "" }),
    secureBoot: off({ excludes: { keys: "cannot be combined with keys" }, help: "" }),
    signKernel: either({ requires: "key", no: "", shownDefault: "", help: "" }),
  });

  it.each<[RawValues, string]>([
    [{ kver: "6" }, "--kver: requires --from"],
    [{ kver: "6", from: "x" }, ""],
    [{ size: "6", from: "oci:x" }, "--size: goes with dir:PATH, not with oci:x"],
    [{ size: "6", from: "dir:x" }, ""],
    [{ tree: true }, ""],
    [{ key: "k", signer: "s" }, "--key and --signer: give one of them"],
    [{ keys: ["k"], secureBoot: false }, "--no-secure-boot: cannot be combined with keys"],
    [{ keys: ["k"], secureBoot: true }, ""],
    [{ keys: [], secureBoot: false }, ""],
    [{ signKernel: true }, "--sign-kernel: requires --key"],
    [{ signKernel: false }, ""],
  ])("%j: %s", async (raw, message) => {
    expect(problem(related, raw)).toBe(message);
  });

  it("are called what a configuration calls them", async () => {
    const origins = new Map([["kver", "ukify.conf:3: Kver"]]);
    expect(problem(related, { kver: "6" }, origins)).toBe("ukify.conf:3: Kver: requires --from");
  });
});
