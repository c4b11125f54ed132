/** The man pages that `scripts/man.ts` writes, read by formatters of others. */
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { configKeys } from "../scripts/man-keys.ts";
import { manPages } from "../scripts/man-pages.ts";
import { bold, escaped, Page } from "../scripts/roff.ts";
import { spellings } from "../src/cli/options/spelling.ts";
import { VERBS } from "../src/cli/verbs.ts";
import { version } from "../src/cli/version.ts";
import { describeWith, findPeer } from "./support/peers.ts";
import { tempDir } from "./support/temp.ts";

const script = fileURLToPath(new URL("../scripts/man.ts", import.meta.url));
const EPOCH = "1767323045";

const loaded = () => Promise.all(VERBS.map(async (verb) => ({ verb, command: await verb.load() })));

/** A directory with all pages. */
function written(): string {
  const directory = tempDir();
  execFileSync(process.execPath, [script, directory], { env: { ...process.env, SOURCE_DATE_EPOCH: EPOCH } });
  return directory;
}

function files(directory: string): string[] {
  return ["man1", "man5"].flatMap((section) =>
    readdirSync(join(directory, section)).map((name) => join(directory, section, name)),
  );
}

describe("the man pages", () => {
  it("are one for the program, one a verb, one for seal.toml, the same each time", async () => {
    const directory = written();
    const pages = manPages(await loaded(), version(), EPOCH);
    const verbs = VERBS.map(({ name }) => `man1/seal-${name.replaceAll(" ", "-")}.1`);
    expect([...pages.keys()].toSorted()).toEqual(["man1/seal.1", "man5/seal.toml.5", ...verbs].toSorted());
    expect(files(directory)).toHaveLength(pages.size);
    const { man } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { man: string[] };
    expect(man.toSorted(), "package.json").toEqual([...pages.keys()].map((name) => `dist/man/${name}`).toSorted());
    for (const [name, text] of pages) expect(readFileSync(join(directory, name), "utf8")).toBe(text);
    expect(pages.get("man1/seal.1")).toMatch(/^\.TH "SEAL" 1 "2026-01-02" /);
    // Without a date they are still the same each time.
    expect(manPages(await loaded(), "1.2.3").get("man1/seal.1")).toMatch(/^\.TH "SEAL" 1 "" "seal 1\.2\.3"\n/);
  });

  it("tell of every argument, option, default and example", async () => {
    const pages = manPages(await loaded(), "1.2.3");
    for (const { verb, command } of await loaded()) {
      const page = pages.get(`man1/seal-${verb.name.replaceAll(" ", "-")}.1`) ?? "";
      for (const name of Object.keys(command.arguments)) expect(page).toContain(`.TP\n\\fI${name}\\fR\n`);
      for (const { name, hidden } of spellings(command.options)) {
        expect(page.includes(`.TP\n${bold(`--${name}`)}`), `${verb.name} --${name}`).toBe(!hidden);
      }
      for (const [example] of command.examples)
        expect(page).toContain(escaped(`$ seal ${verb.name} ${example}`.trim()));
    }
    for (const [name, page] of pages) expect(page, name).not.toMatch(/[?!]\.(?: |$)/m);
  });

  it("tell of every key of seal.toml", async () => {
    const keys = configKeys(await loaded());
    expect(keys.find(({ name }) => name === "signer")).toMatchObject({ type: '"command"', trusted: true });
    expect(keys.find(({ name }) => name === "days")).toMatchObject({ type: "number", verbs: "Verbs: keys generate" });
    expect(keys.find(({ name }) => name === "karg")?.type).toBe('["argument", ...]');
  });

  it("let no text be a command", () => {
    const page = new Page("a-b", 1, "", "c");
    page.paragraph(escaped(".so /etc/passwd"));
    page.entry(bold("-x"), escaped("'\\fB"));
    page.literal(".sp\na\\b");
    expect(
      page
        .toString()
        .split("\n")
        .filter((line) => /^[.'](?!TH|PP|TP|RS|EX|EE|RE)/.test(line)),
    ).toEqual([]);
    expect(page.toString()).toContain("\\&'\\efB");
  });
});

describeWith(["mandoc", "man"], "the man pages", () => {
  it("are without a fault for mandoc", () => {
    const { status, stdout } = spawnSync(findPeer("mandoc") ?? "", ["-T", "lint", ...files(written())], {
      encoding: "utf8",
    });
    expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
  });

  it("are without a fault for man, and can be read", () => {
    const page = join(written(), "man1/seal-sign.1");
    const { status, stdout, stderr } = spawnSync(findPeer("man") ?? "", ["--warnings", "-l", page], {
      encoding: "utf8",
      env: { ...process.env, MANWIDTH: "80", LC_ALL: "C.UTF-8", MAN_KEEP_FORMATTING: "" },
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^ {7}seal sign \[options\] file\.\.\.$/m);
    expect(stdout).toMatch(/^ {7}--key file$/m);
  });
});
