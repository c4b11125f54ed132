import { Command as Program } from "commander";
import { describe, expect, it } from "vitest";
import { spellings } from "../../src/cli/options/spelling.ts";
import { defineOptions, replaceAliases } from "../../src/cli/program.ts";
import { VERBS } from "../../src/cli/verbs.ts";
import { seal } from "../support/cli.ts";

/** The words of a command as a shell has them: quotes hold blanks together. */
function words(command: string): string[] {
  const end = command.search(/ [|>&] /);
  const text = end < 0 ? command : command.slice(0, end);
  return [...text.matchAll(/(?:'[^']*'|"[^"]*"|[^\s'"])+/g)].map(([word]) => word.replace(/['"]/g, ""));
}

describe.each(VERBS)("seal $name", ({ name, summary, load }) => {
  it("has examples that it takes as they are printed", async () => {
    const command = await load();
    expect(command.examples.length).toBeGreaterThan(0);
    for (const [example, what] of command.examples) {
      const program = new Program(name).exitOverride().configureOutput({ writeErr: () => {} });
      defineOptions(program, command);
      const { args } = replaceAliases(words(example), command.options);
      expect(() => program.parse(args, { from: "user" }), `${name} ${example}`).not.toThrow();
      expect(what).not.toBe("");
    }
  });

  it("has a help page with examples first and every option described", async () => {
    const command = await load();
    const { code, stdout, stderr } = await seal(["help", ...name.split(" ")], { columns: 80 });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout.startsWith("Examples:\n  $ seal ")).toBe(true);
    expect(stdout).toContain(summary.split(" ")[0]);
    for (const { name: option, help, hidden } of spellings(command.options)) {
      if (hidden) continue;
      expect(stdout).toContain(`--${option}`);
      expect(help, option).not.toBe("");
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
