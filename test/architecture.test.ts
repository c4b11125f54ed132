import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { importsOf, placeOf, readRules, violations } from "./support/imports.ts";

const project = fileURLToPath(new URL("..", import.meta.url));
const rules = readRules(readFileSync(join(project, "docs/architecture.md"), "utf8"));
const files = readdirSync(join(project, "src"), { recursive: true, encoding: "utf8" }).filter((name) =>
  name.endsWith(".ts"),
);
const read = (file: string) => readFileSync(join(project, "src", file), "utf8");

describe("docs/architecture.md", () => {
  it("has a row for each folder of src/, and each file directly in it", () => {
    expect([...rules.places.keys()].toSorted()).toEqual([...new Set(files.map(placeOf))].toSorted());
  });

  it("has a row for each package that seal needs at run time", () => {
    const { dependencies } = JSON.parse(readFileSync(join(project, "package.json"), "utf8"));
    expect([...rules.packages.keys()].toSorted()).toEqual(Object.keys(dependencies).toSorted());
  });

  it("allows what src/ imports", () => {
    expect(files.flatMap((file) => violations(file, read(file), rules))).toEqual([]);
  });

  it("allows no package and no part of src/ to anyone who does not import it", () => {
    const used = new Map([...rules.places.keys()].map((place) => [place, new Set<string>()]));
    for (const file of files) {
      for (const { target } of importsOf(read(file), file)) {
        if (target === null || target.startsWith(".")) continue;
        used.get(placeOf(file))?.add(target.startsWith("node:") ? `node:${target.slice(5).split("/")[0]}` : target);
      }
    }
    const idle = [
      ...[...rules.modules].flatMap(([place, names]) =>
        [...(names ?? [])].map((name) => [place, `node:${name}`] as const),
      ),
      ...[...rules.packages].flatMap(([name, places]) => [...places].map((place) => [place, name] as const)),
    ].filter(([place, name]) => !used.get(place)?.has(name));
    expect(idle).toEqual([]);
  });
});

describe("names in src/", () => {
  const DECLARATION = /^export (?:async |abstract )?(?:function\*?|const|class|interface|type|enum) (\w+)/gm;
  const sources = files.map((file) => ({ file, source: read(file) }));

  it("are exported by one file each", () => {
    const places = new Map<string, Set<string>>();
    for (const { file, source } of sources) {
      for (const [, name = ""] of source.matchAll(DECLARATION))
        places.set(name, (places.get(name) ?? new Set()).add(file));
    }
    expect([...places].filter(([, { size }]) => size > 1).map(([name, where]) => [name, ...where])).toEqual([]);
  });

  it("of zod's schemas that are exported say so", () => {
    const SCHEMA = /^export const (\w+)[^=;]*= (?:z\n?\s*\.|\w+Schema\.)(?!infer)/gm;
    const names = sources.flatMap(({ source }) => [...source.matchAll(SCHEMA)].map(([, name = ""]) => name));
    expect(names.length).toBeGreaterThan(20);
    expect(names.filter((name) => !name.endsWith("Schema"))).toEqual([]);
  });

  it("of reports are those of their schemas", () => {
    const REPORT = /^(?:export )?type (\w*Report) = z\.infer<typeof (\w+)>/gm;
    const pairs = sources.flatMap(({ source }) =>
      [...source.matchAll(REPORT)].map(([, type, schema]) => ({ type, schema })),
    );
    expect(pairs.length).toBeGreaterThan(10);
    for (const { type = "", schema } of pairs) {
      expect(schema).toBe(`${type.slice(0, 1).toLowerCase()}${type.slice(1)}Schema`);
    }
  });
});

describe("the import rules", () => {
  it.each([
    ["a folder that is not below it", "tree/x.ts", 'import { sign } from "../sign/keys.ts";'],
    ["such a folder from deep inside", "io/oci/x.ts", 'import { userPath } from "../../cli/context.ts";'],
    ["a type", "tree/selinux/regex/x.ts", 'import type { Context } from "../../../cli/context.ts";'],
    ["a type in place", "boot/x.ts", 'type Ui = import("../cli/terminal/ui.ts").Ui;'],
    ["in a dynamic way", "pe/x.ts", 'await import("../io/files.ts");'],
    ["by exporting again", "oci/x.ts", 'export * from "../composefs/digest.ts";'],
    ["a file beside the folders", "lint/rules/x.ts", 'import { seal } from "../../index.ts";'],
    ["a worker", "sign/x.ts", 'new URL("../io/hash-worker.ts", import.meta.url);'],
    ["files from the pure part", "composefs/x.ts", 'import { readFileSync } from "node:fs";'],
    ["files in a dynamic way", "lint/x.ts", 'await import("node:fs/promises");'],
    ["processes from the pure part", "boot/x.ts", 'import { execFile } from "node:child_process";'],
    ["hashing where nothing is hashed", "unpack/x.ts", 'import { createHash } from "node:crypto";'],
    ["threads from cli/", "cli/x.ts", 'import { Worker } from "node:worker_threads";'],
    ["a package of the terminal", "io/x.ts", 'import chalk from "chalk";'],
    ["a package of processes", "cli/x.ts", 'import { execa } from "execa";'],
    ["a part of a package", "tree/x.ts", 'import { z } from "zod/mini";'],
    ["a package that is for tests", "sign/x.ts", 'import fc from "fast-check";'],
    ["node's modules by their old names", "tree/x.ts", 'import fs from "fs";'],
    ["what is computed", "io/x.ts", "await import(name);"],
    ["with require", "io/x.ts", 'createRequire(import.meta.url)("./x.cjs");'],
    ["the program from the basics", "bytes.ts", 'import { run } from "./cli/main.ts";'],
    ["what is outside of src/", "io/x.ts", 'import { tempDir } from "../../test/support/temp.ts";'],
  ])("refuse %s", (_what, file, source) => {
    expect(violations(file, source, rules)).toHaveLength(1);
  });

  it.each([
    ["boot/x.ts", 'import { lookup } from "../tree/node.ts"; import { Cursor } from "../bytes.ts";'],
    ["tree/selinux/x.ts", 'import { lookup } from "../node.ts";'],
    ["lint/rules/x.ts", 'import type { Signer } from "../../sign/signer.ts";'],
    ["io/x.ts", 'import { open } from "node:fs/promises"; import { execa } from "execa";'],
    ["cli/x.ts", 'const { z } = await import("zod"); import { scan } from "../io/scan.ts"; // import "execa"'],
  ])("accept others of %s", (file, source) => {
    expect(violations(file, source, rules)).toEqual([]);
  });
});
