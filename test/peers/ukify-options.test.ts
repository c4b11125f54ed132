/** docs/ukify.md names every option of ukify 262, and seal has those that it promises. */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { buildUkiCommand } from "../../src/cli/build-uki/command.ts";
import { spellings } from "../../src/cli/options/spelling.ts";
import { describeWith, runPeer } from "../support/peers.ts";

const page = readFileSync(new URL("../../docs/ukify.md", import.meta.url), "utf8");
const rows = [...page.matchAll(/^\| `(-[a-z-]+)` *\| (.+?) *\|$/gm)].map(([, option = "", here = ""]) => ({
  option,
  here,
}));

describe("docs/ukify.md", () => {
  it("promises only what build-uki has", () => {
    const names = spellings(buildUkiCommand.options).flatMap(({ name, option }) => [`--${name}`, ...option.aliases]);
    const same = rows.filter(({ here }) => here.startsWith("same")).map(({ option }) => option);
    expect(same.length).toBeGreaterThan(30);
    expect(same.filter((option) => !names.includes(option))).toEqual([]);
  });
});

describeWith(["ukify"], "docs/ukify.md", () => {
  it.each(["build", "genkey", "inspect"])("has a row for each option that ukify %s tells of", (verb) => {
    const help = String(runPeer("ukify", [verb, "--help"]).stdout).split("config file:")[0] ?? "";
    // Names, then at least two blanks and what they do; a negation is not an option of its own.
    const names = [...help.matchAll(/^ {2}(-.*?)(?: {2,}.*)?$/gm)].map(([, column = ""]) => column);
    const options = names.map((column) => /--[a-z-]+/.exec(column)?.[0] ?? column);
    expect(options.length).toBeGreaterThan(45);
    expect(rows.map(({ option }) => option).toSorted()).toEqual([...new Set(options)].toSorted());
  });

  it("names each of its verbs", () => {
    const usage = String(runPeer("ukify", ["--help"]).stdout).split("config file:")[0] ?? "";
    const verbs = [...usage.matchAll(/^ +ukify ([a-z]+) /gm)].map(([, verb]) => verb);
    expect(verbs).toEqual(["build", "genkey", "inspect"]);
    for (const verb of verbs) expect(page).toContain(`ukify ${verb}`);
  });
});
