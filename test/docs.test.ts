import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { globalOptions } from "../src/cli/global-options.ts";
import { variableOf } from "../src/cli/options/spelling.ts";
import { VERBS } from "../src/cli/verbs.ts";
import { seal } from "./support/cli.ts";
import { isMessage, templatesOf } from "./support/messages.ts";
import { tempDir } from "./support/temp.ts";

const project = fileURLToPath(new URL("..", import.meta.url));
const pages = [
  "README.md",
  "CONTRIBUTING.md",
  ...readdirSync(join(project, "docs")).flatMap((name) => (name.endsWith(".md") ? [`docs/${name}`] : [])),
];

describe("the documentation", () => {
  it.each(pages)("%s has no link to a file that is not there", (page) => {
    const text = readFileSync(join(project, page), "utf8");
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link = ""]) => link);
    expect(links.filter((link) => !existsSync(join(project, dirname(page), link)))).toEqual([]);
  });

  it("is read in the order of README, page by page", () => {
    const readme = readFileSync(join(project, "README.md"), "utf8");
    const [, list = ""] = readme.split("## Read on");
    const order = [...list.matchAll(/\]\(docs\/([a-z-]+\.md)\)/g)].map(([, name = ""]) => name);
    expect(order.toSorted()).toEqual(pages.flatMap((page) => /^docs\/(.*\.md)$/.exec(page)?.[1] ?? []).toSorted());
    const texts = order.map((name) => readFileSync(join(project, "docs", name), "utf8"));
    const links = order.map((name, index) => `[${/^# (.*)/.exec(texts[index] ?? "")?.[1]}](${name})`);
    for (const [index, text] of texts.entries()) {
      // That page is written by `npm run bench`.
      if (order[index] === "benchmarks.md") continue;
      const before = index > 0 ? [`Before: ${links[index - 1]}`] : [];
      const next = index < order.length - 1 ? [`Next: ${links[index + 1]}`] : [];
      expect(text.endsWith(`\n\n---\n\n${[...before, ...next].join(" · ")}\n`), order[index]).toBe(true);
    }
  });

  it("shows a seal.toml that is accepted", async () => {
    const [, toml = ""] = /```toml\n(.*?)```/s.exec(readFileSync(join(project, "docs/seal-toml.md"), "utf8")) ?? [];
    const file = join(tempDir(), "seal.toml");
    writeFileSync(file, toml);
    expect(await seal(["lint", "--list", "--config", file])).toMatchObject({ code: 0, stderr: "" });
  });
});

it("docs/seal-toml.md has each variable that an option has", async () => {
  const table = readFileSync(join(project, "docs/seal-toml.md"), "utf8")
    .split("\n")
    .filter((line) => /^\| `SEAL_/.test(line));
  const shown = table.flatMap((line) => [...line.matchAll(/SEAL_\w+/g)].map(([name]) => name));
  const commands = await Promise.all(VERBS.map(({ load }) => load()));
  const declared = [globalOptions.declarations, ...commands.map(({ options }) => options)].flatMap((options) =>
    Object.entries(options).flatMap(([key, { env }]) => (env ? [variableOf(key)] : [])),
  );
  expect(shown.toSorted()).toEqual([...new Set(declared)].toSorted());
});

describe("docs/troubleshooting.md", () => {
  const page = readFileSync(join(project, "docs/troubleshooting.md"), "utf8");
  const [ours = ""] = page.split("## When the machine does not start");
  const templates = new Set(
    ["src", "scripts/one-file"].flatMap((folder) =>
      readdirSync(join(project, folder), { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".ts"))
        .flatMap((name) => [...templatesOf(readFileSync(join(project, folder, name), "utf8"), name)]),
    ),
  );
  const messages = [...ours.matchAll(/^\| (`.*?`) +\|/gm)].flatMap(([, cell = ""]) =>
    cell.split("`, `").map((message) => message.replaceAll("`", "")),
  );

  it("quotes messages", () => {
    expect(messages.length).toBeGreaterThan(50);
  });

  it.each(messages)("%s is one of seal", (message) => {
    expect(isMessage(message, templates)).toBe(true);
  });

  it.each(["… can't be frobbed: …", "is no such …", "…: can't be read by nobody", "can't be", "… …"])(
    "would not quote %j",
    (message) => {
      expect(isMessage(message, templates)).toBe(false);
    },
  );
});
