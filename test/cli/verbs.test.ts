import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command as Program } from "commander";
import { describe, expect, it } from "vitest";
import { globalOptions } from "../../src/cli/global-options.ts";
import type { Option } from "../../src/cli/options/declaration.ts";
import { writes } from "../../src/cli/options/risk.ts";
import { spellings } from "../../src/cli/options/spelling.ts";
import { addOptions, defineOptions, replaceAliases } from "../../src/cli/program.ts";
import { VERBS } from "../../src/cli/verbs.ts";
import { seal } from "../support/cli.ts";

/** The words of a command as a shell has them: quotes hold blanks together. */
function words(command: string): string[] {
  const end = command.search(/ [|>&] /);
  const text = end < 0 ? command : command.slice(0, end);
  return [...text.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)].map(([word]) => word.replace(/['"]/g, ""));
}

/** Taken for the sake of peers: there is one value that they can have, or none, which is said. */
const WITHOUT_CHOICE = new Set(["action", "signtool", "digestAlgorithm", "creds"]);

/** How often each name stands in the code that verbs run, outside of texts and comments. */
const uses = new Map<string, number>();
for (const folder of ["cli", "seal"]) {
  const root = fileURLToPath(new URL(`../../src/${folder}`, import.meta.url));
  for (const name of readdirSync(root, { recursive: true, encoding: "utf8" }).filter((one) => one.endsWith(".ts"))) {
    const code = readFileSync(join(root, name), "utf8").replace(/\/\*.*?\*\/|\/\/[^\n]*|"[^"\n]*"/gs, "");
    for (const [word] of code.matchAll(/\w+/g)) uses.set(word, (uses.get(word) ?? 0) + 1);
  }
}

describe.each(VERBS)("seal $name", ({ name, summary, load }) => {
  it("has examples that it takes as they are printed", async () => {
    const command = await load();
    expect(command.examples.length).toBeGreaterThan(0);
    for (const [example, what] of command.examples) {
      const program = new Program(name).exitOverride().configureOutput({ writeErr: () => {} });
      defineOptions(program, command);
      addOptions(program, globalOptions.declarations);
      const { args } = replaceAliases(words(example), command.options);
      expect(() => program.parse(args, { from: "user" }), `${name} ${example}`).not.toThrow();
      expect(what).not.toBe("");
    }
  });

  it("writes no file called -", async () => {
    const { options } = await load();
    for (const [key, { risk, check }] of Object.entries(options)) {
      if (risk !== writes || (name === "report" && key === "html")) continue;
      expect(check("-"), key).toEqual({ success: false, problems: [expect.stringContaining("./- for a file")] });
      expect(check("./-"), key).toMatchObject({ success: true });
    }
  });

  it("has a help page with examples first and every option described, with the default that applies", async () => {
    const command = await load();
    const { code, stdout, stderr } = await seal(["help", ...name.split(" ")], { columns: 1000 });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.startsWith("Examples:\n  $ seal ")).toBe(true);
    expect(stdout).toContain(`\n\n${summary}\n\n`);
    const lines = stdout.split("\n");
    const described = (pattern: RegExp, { shown }: Option) => {
      const [line = "", ...others] = lines.filter((one) => pattern.test(one));
      expect(others).toEqual([]);
      expect(line.replace(pattern, "")).toMatch(/^ {2,}\S/);
      expect(/ \(default: (.+)\)$/.exec(line)?.[1] ?? null).toBe(shown);
    };
    for (const [argument, option] of Object.entries(command.arguments))
      described(new RegExp(`^  ${argument}(?= )`), option);
    for (const { name: flag, option, negates, hidden } of spellings(command.options)) {
      const pattern = new RegExp(`^  (?:-\\w, )?--${flag}(?: [<[].+?[>\\]])?(?= )`);
      if (hidden) expect(lines.filter((one) => pattern.test(one))).toEqual([]);
      else described(pattern, negates && option.no !== "only" ? { ...option, shown: null } : option);
    }
  });

  it("shows the default that applies where it can be typed, and words where there is none", async () => {
    const command = await load();
    for (const [key, option] of Object.entries({ ...command.arguments, ...command.options })) {
      const { absent, shown, takes } = option;
      const typed = (text: string) => option.check(takes === "list" ? [text] : text);
      if (typeof absent === "boolean" || takes === "nothing") continue;
      if (absent !== undefined && absent.length > 0) {
        expect(`${shown} `, key).toMatch(new RegExp(`^${[absent].flat().join(", ")}[ :;]`));
        expect(option.check(absent).success, key).toBe(true);
      } else if (shown !== null && !typed("\0 no value of anything").success) {
        expect(typed(shown).success, `--${key}: "${shown}" belongs in default`).toBe(false);
      }
    }
  });

  it("has the options that its own require, and each of them does something", async () => {
    const { arguments: args, options } = await load();
    for (const [key, { requires }] of Object.entries(options)) {
      const there = requires?.anyOf.filter((one) => Object.hasOwn({ ...args, ...options }, one));
      expect(there, key).not.toEqual([]);
      // Once where it is declared, and where its value is used.
      if (!WITHOUT_CHOICE.has(key)) expect(uses.get(key), key).toBeGreaterThan(1);
    }
  });

  it("names no option twice, and none as another's alias", async () => {
    const { options } = await load();
    const names = spellings(options).flatMap(({ name: option, negates, option: { aliases } }) => [
      `--${option}`,
      ...(negates ? [] : aliases),
    ]);
    expect(names.filter((one, index) => names.indexOf(one) !== index)).toEqual([]);
  });
});

describe("options that exclude others", () => {
  it("name some that there are", async () => {
    const commands = await Promise.all(VERBS.map(({ load }) => load()));
    const declared = commands.flatMap((command) => Object.entries({ ...command.arguments, ...command.options }));
    const names = new Set(declared.map(([name]) => name));
    for (const [name, { excludes }] of declared)
      expect(
        [...excludes.keys()].filter((one) => !names.has(one)),
        name,
      ).toEqual([]);
  });
});

describe("defaults", () => {
  it("are these, which people rely on", async () => {
    const defaults = new Map<string, Set<string>>();
    for (const { load } of VERBS) {
      const command = await load();
      for (const [name, { absent }] of Object.entries({ ...command.arguments, ...command.options })) {
        if (absent === undefined || typeof absent === "boolean" || absent.length === 0) continue;
        defaults.set(name, (defaults.get(name) ?? new Set()).add([absent].flat().join(", ")));
      }
    }
    expect(Object.fromEntries([...defaults].map(([name, texts]) => [name, [...texts].join(" | ")]))).toEqual({
      attestSignerInput: "digest",
      builder: "tag:seal,2026:seal",
      algorithm: "sha512",
      transform: "boot",
      xattrs: "allowlist",
      mtime: "auto",
      layerSize: "64M",
      compression: "gzip",
      pcrBanks: "sha1,sha256,sha384,sha512",
      signerInput: "digest",
      digestAlgorithm: "sha256",
      rootfs: "/target",
      commonName: "Secure Boot",
      days: "3650",
      type: "rsa2048",
      owner: "00000000-0000-0000-0000-000000000000",
      format: "text",
      boot: ".",
      timeout: "120",
      arch: "x64",
      accel: "auto",
      cpu: "max",
      memory: "1024",
    });
  });
});
