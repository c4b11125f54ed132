/** The man pages as text, of the declarations of verbs and options. */
import type { Verb } from "../src/cli/command.ts";
import { globalOptions } from "../src/cli/global-options.ts";
import type { Option } from "../src/cli/options/declaration.ts";
import type { Declarations } from "../src/cli/options/group.ts";
import { headingOf, requiredFirst, type Spelling, spellings, variableOf } from "../src/cli/options/spelling.ts";
import { VERB_GROUPS } from "../src/cli/verbs.ts";
import { configKeys, type LoadedVerb } from "./man-keys.ts";
import { bold, escaped, italic, lines, Page } from "./roff.ts";

/**
 * @param version of seal
 * @param epoch seconds since 1970 that the pages are dated with; without, they have no date: it would
 *   be that of the build
 * @returns text by path
 */
export function manPages(verbs: readonly LoadedVerb[], version: string, epoch?: string): Map<string, string> {
  const made = epoch === undefined || epoch === "" ? "" : new Date(Number(epoch) * 1000).toISOString().slice(0, 10);
  const start = (name: string, section: number) => new Page(name, section, made, `seal ${version}`);
  return new Map([
    ["man1/seal.1", mainPage(start("seal", 1), verbs)],
    ...verbs.map((one) => [`man1/${pageName(one.verb)}.1`, verbPage(start(pageName(one.verb), 1), one)] as const),
    ["man5/seal.toml.5", configPage(start("seal.toml", 5), verbs)],
  ]);
}

function pageName({ name }: Verb): string {
  return `seal-${name.replaceAll(" ", "-")}`;
}

function mainPage(page: Page, verbs: readonly LoadedVerb[]): string {
  page.name("seal", "seal bootable container images: composefs digest, UKI, Secure Boot signatures, boot layout");
  page.section("Synopsis");
  page.text(`${bold("seal")} ${italic("verb")} [${italic("options")}] [${italic("arguments")}]`);
  page.section("Description");
  page.text(
    `${bold("seal")} seals bootable container images, so that Secure Boot covers the whole root filesystem. It computes the composefs digest of the ` +
      "root filesystem, puts it on the command line of a Unified Kernel Image (UKI), signs the UKI and the boot loader, and writes the /boot to start from.",
  );
  page.paragraph(
    "Results are written to standard output, as one line or as JSON; everything else goes to standard error.",
  );
  page.section("Verbs");
  for (const { verb } of verbs) page.entry(reference(pageName(verb), 1), escaped(sentence(verb.summary)));
  page.section("Options");
  page.paragraph("All verbs accept these options:");
  optionEntries(page, globalOptions.declarations);
  page.entry(`${bold("--help")}, ${bold("-h")}`, escaped("Show help for the verb."));
  page.entry(`${bold("--version")}, ${bold("-V")}`, escaped("Print the version."));
  environment(page, [globalOptions.declarations, ...verbs.map(({ command }) => command.options)]);
  exitStatus(page);
  page.section("See also");
  page.text(verbs.map(({ verb }) => reference(pageName(verb), 1)).join(",\n"));
  page.text(`${reference("seal.toml", 5)}`, ",");
  return page.toString();
}

function verbPage(page: Page, { verb, command }: LoadedVerb): string {
  page.name(pageName(verb), verb.summary);
  page.section("Synopsis");
  const args = Object.entries(command.arguments).map(([name, option]) => {
    const word = `${italic(name)}${option.takes === "list" ? "..." : ""}`;
    return option.required === null ? `[${word}]` : word;
  });
  const required = spellings(command.options).filter(({ option, negates }) => option.required !== null && !negates);
  page.text([bold(`seal ${verb.name}`), ...required.map(flag), `[${italic("options")}]`, ...args].join(" "));
  page.section("Description");
  page.text(escaped(sentence(verb.summary)));
  if (verb.aliases.length > 0) {
    page.paragraph(`Also called ${verb.aliases.map((alias) => bold(`seal ${alias}`)).join(", ")}.`);
  }
  const [group = ""] = verb.name.split(" ");
  if (group in VERB_GROUPS) page.paragraph(escaped(`One of the verbs that ${VERB_GROUPS[group]}.`));
  if (Object.keys(command.arguments).length > 0) page.section("Arguments");
  for (const [name, option] of Object.entries(command.arguments))
    page.entry(italic(name), described(option.help, option));
  page.section("Options");
  optionEntries(page, command.options);
  page.paragraph(
    `${reference("seal", 1)} describes the options that all verbs accept, such as ${bold("--quiet")} and ${bold("--config")}.`,
  );
  environment(page, [command.options]);
  page.section("Examples");
  for (const [example, what] of command.examples) {
    page.paragraph(`${escaped(sentence(what))}`);
    page.literal(`$ seal ${verb.name} ${example}`.trim());
  }
  exitStatus(page);
  page.section("See also");
  page.text(`${reference("seal", 1)},\n${reference("seal.toml", 5)}`);
  return page.toString();
}

function optionEntries(page: Page, options: Declarations): void {
  const shown = spellings(options).filter(({ hidden }) => !hidden);
  // Whatever follows a heading belongs to it: options without one come first, after the required ones.
  const given = [...new Set(requiredFirst(shown).map(({ option }) => headingOf(option)))];
  const headings = [
    ...given.filter((one) => one === "Required"),
    null,
    ...given.filter((one) => one !== "Required" && one !== null),
  ];
  for (const heading of headings) {
    if (heading !== null) page.subsection(heading);
    for (const spelling of shown.filter(({ option }) => headingOf(option) === heading)) optionEntry(page, spelling);
  }
}

function optionEntry(page: Page, spelling: Spelling): void {
  const { option, negates, help, key } = spelling;
  const { short, aliases, no } = option;
  const names = [flag(spelling), ...(short === null || negates ? [] : [bold(`-${short}`)])];
  const others = negates || aliases.length === 0 ? "" : ` Also ${aliases.join(", ")}.`;
  const variable = option.env && !negates ? ` Environment: ${variableOf(key)}.` : "";
  // As on the help page: many begin with a word that can be typed.
  const text = negates && no !== "only" ? escaped(ended(help)) : described(help, option);
  page.entry(names.join(", "), `${text}${escaped(`${variable}${others}`)}`);
}

/** An option with what it takes. */
function flag({ name, option: { takes, placeholder }, negates }: Spelling): string {
  if (negates || takes === "nothing") return bold(`--${name}`);
  const value = italic(placeholder);
  return takes === "optional" ? `${bold(`--${name}`)} [${value}]` : `${bold(`--${name}`)} ${value}`;
}

/** The help text with the default. */
function described(help: string, { shown }: Pick<Option, "shown">): string {
  const end = shown === null ? "" : ` Default: ${shown}.`;
  return escaped(`${ended(help)}${end}`);
}

function sentence(text: string): string {
  return ended(`${text.charAt(0).toUpperCase()}${text.slice(1)}`);
}

/** With a full stop, where the text does not end as a sentence does. */
function ended(text: string): string {
  return /[.?!]$/.test(text) ? text : `${text}.`;
}

function environment(page: Page, groups: readonly Declarations[]): void {
  const variables = new Map(
    groups.flatMap((options) =>
      Object.entries(options).flatMap(([key, { env }]) => (env ? [[variableOf(key), key] as const] : [])),
    ),
  );
  if (variables.size === 0) return;
  page.section("Environment");
  for (const name of variables.keys()) {
    const option = name
      .replace(/^SEAL_/, "--")
      .replaceAll("_", "-")
      .toLowerCase();
    page.entry(bold(name), `Same as ${bold(option)}, which takes precedence.`);
  }
}

const EXIT_STATUS: readonly (readonly [string, string])[] = [
  ["0", "Success."],
  ["1", "A check failed."],
  ["2", "The command line or the configuration is wrong."],
  ["3", "A file is invalid, missing or unreadable, or an output can't be written."],
  ["4", "An external program or signer failed."],
  ["70", "A bug in seal."],
];

function exitStatus(page: Page): void {
  page.section("Exit status");
  for (const [code, what] of EXIT_STATUS) page.entry(bold(code), escaped(what));
}

function reference(name: string, section: number): string {
  return `${bold(name)}(${section})`;
}

function configPage(page: Page, verbs: readonly LoadedVerb[]): string {
  page.name("seal.toml", "options for seal in a file");
  page.section("Synopsis");
  page.text(escaped("./seal.toml"));
  page.section("Description");
  page.text(
    `A TOML file that sets options of ${reference("seal", 1)}. A key at the top applies to every verb that has the option, a key in a table to that verb only. ` +
      `${bold("seal")} reads the file in the current directory, or the one given with ${bold("--config")} or ${bold("SEAL_CONFIG")}.`,
  );
  page.paragraph(
    "Flags are true or false, whole numbers have no quotes, everything else is a string in quotes, and a repeatable option takes a list. " +
      "Relative paths are relative to the current directory. Unknown keys and values of the wrong type are errors.",
  );
  page.paragraph(
    "The command line overrides the environment, which overrides the verb's table, which overrides the top of the file. " +
      `${bold("seal config")} shows the options in effect.`,
  );
  page.paragraph(
    `${bold("seal")} prints a line that names a file found in the current directory. Such a file can't set the options marked "Trusted only" below: ` +
      `use ${bold("--config seal.toml")} for these.`,
  );
  page.section("Keys");
  for (const { name, type, help, verbs: names, trusted } of configKeys(verbs)) {
    page.entry(
      `${bold(name)} = ${italic(type)}`,
      escaped(`${ended(help)} ${names}.${trusted ? " Trusted only." : ""}`),
    );
  }
  page.section("Examples");
  page.literal(
    lines('key = "keys/db.key"', 'cert = "keys/db.crt"', "", "[rootfs]", 'output = "out"', 'karg = ["rw", "quiet"]'),
  );
  page.section("See also");
  page.text(`${reference("seal", 1)},\n${reference("seal-config", 1)}`);
  return page.toString();
}
