/** Who imports what in src/, read from the syntax tree, and the rules about it, read from docs/architecture.md. */
import { join } from "node:path/posix";
import { parseAst } from "rolldown/parseAst";

/** One import of a file, of any kind: static, dynamic, of types, or a path that a worker is started from. */
export interface Import {
  /** `./x.ts`, `node:fs`, `zod`. Null: computed, so that nobody can say what it is. */
  readonly target: string | null;
}

/** What files directly in src/ and folders of src/ may import. */
export interface ImportRules {
  /** Names of folders, and of files directly in src/, by that of the importing one. */
  readonly places: ReadonlyMap<string, ReadonlySet<string>>;
  /** Names of node's modules without `node:`; null: all. */
  readonly modules: ReadonlyMap<string, ReadonlySet<string> | null>;
  /** Which folders may import a package. */
  readonly packages: ReadonlyMap<string, ReadonlySet<string>>;
}

/** What gets around the rules. */
const LOADERS = new Set(["require", "createRequire", "getBuiltinModule"]);
/** A path of another file in a string, as in `new URL("./worker.ts", import.meta.url)`. */
const FILE_PATH = /^\.{1,2}\/.*\.(ts|js|json)$/;

/** @param name for messages about its syntax */
export function importsOf(source: string, name: string): Import[] {
  const found: Import[] = [];
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const item of value) visit(item);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return;
    const node = value as Readonly<Record<string, unknown>>;
    if (node["type"] === "ImportExpression" && literalOf(node["source"]) === null) found.push({ target: null });
    if (node["type"] === "Identifier" && LOADERS.has(String(node["name"]))) found.push({ target: null });
    const target = literalOf(
      node["source"] ?? (node["type"] === "TSExternalModuleReference" ? node["expression"] : null),
    );
    const path = literalOf(node);
    if (target !== null) found.push({ target });
    else if (path !== null && FILE_PATH.test(path)) found.push({ target: path });
    for (const [key, child] of Object.entries(node)) {
      if (key !== "source" || target === null) visit(child);
    }
  };
  visit(parseAst(source, { lang: "ts" }, name));
  return found;
}

function literalOf(value: unknown): string | null {
  if (typeof value !== "object" || value === null) return null;
  const node = value as Readonly<Record<string, unknown>>;
  return node["type"] === "Literal" && typeof node["value"] === "string" ? node["value"] : null;
}

/**
 * What a file imports against the rules, in words; nothing when all is well.
 * @param file path below src/, with slashes
 */
export function violations(file: string, source: string, rules: ImportRules): string[] {
  const own = placeOf(file);
  return importsOf(source, file).flatMap(({ target }) => {
    const problem = target === null ? "computes what it loads" : refusal(file, own, target, rules);
    return problem === null ? [] : [`src/${file} ${problem}`];
  });
}

function refusal(file: string, own: string, target: string, rules: ImportRules): string | null {
  if (target.startsWith(".")) {
    const path = join("src", file, "..", target);
    // The version comes from there.
    if (path === "package.json" && own === "cli") return null;
    const place = path.startsWith("src/") ? placeOf(path.slice("src/".length)) : path;
    return place === own || rules.places.get(own)?.has(place) ? null : `may not import ${place}`;
  }
  if (target.startsWith("node:")) {
    const [name = ""] = target.slice("node:".length).split("/");
    const allowed = rules.modules.get(own);
    return allowed === null || allowed?.has(name) ? null : `may not import ${target}`;
  }
  const [name = ""] = /^(?:@[^/]+\/)?[^/]+/.exec(target) ?? [];
  return rules.packages.get(name)?.has(own) ? null : `may not import ${name}`;
}

/** The folder of src/ that a file is in, or its name when it is directly there. */
export function placeOf(file: string): string {
  return file.split("/")[0] ?? file;
}

/**
 * The rules as the tables of docs/architecture.md state them. "all of the above" are the rows above; what the first row
 * names, everything may import.
 */
export function readRules(page: string): ImportRules {
  const places = new Map<string, ReadonlySet<string>>();
  const modules = new Map<string, ReadonlySet<string> | null>();
  const rows = tableRows(page, "folder");
  const basics = namesIn(rows[0]?.[0] ?? "");
  for (const [names = "", , imports = "", builtin = ""] of rows) {
    const above = [...places.keys()];
    const [all, but = ""] = /^all of the above(?: but (.*))?$/.exec(imports) ?? [];
    const named = namesIn(all === undefined ? imports : but);
    const unknown = named.filter((name) => !rows.some(([row = ""]) => namesIn(row).includes(name)));
    if (unknown.length > 0) throw new Error(`docs/architecture.md: no row for ${unknown.join(", ")}`);
    const listed = all === undefined ? named : above.filter((name) => !named.includes(name));
    for (const name of namesIn(names)) {
      places.set(name, new Set([...basics, ...listed]));
      modules.set(name, builtin === "all" ? null : new Set(namesIn(builtin)));
    }
  }
  const packages = new Map(
    tableRows(page, "package").map(([name = "", , users = ""]) => [namesIn(name)[0] ?? "", new Set(namesIn(users))]),
  );
  return { places, modules, packages };
}

/** The cells of the table whose first heading is this. */
function tableRows(page: string, heading: string): string[][] {
  const lines = page.split("\n");
  const start = lines.findIndex((line) => line.startsWith("|") && cellsOf(line)[0] === heading);
  if (start < 0) throw new Error(`docs/architecture.md: no table of each ${heading}`);
  const end = lines.findIndex((line, index) => index > start && !line.startsWith("|"));
  return lines.slice(start + 2, end < 0 ? undefined : end).map(cellsOf);
}

function cellsOf(line: string): string[] {
  return line
    .split("|")
    .slice(1, -1)
    .map((cell) => cell.trim());
}

/** Names between commas, without backticks and a slash at their end; none of a dash. */
function namesIn(cell: string): string[] {
  return cell
    .split(",")
    .map((name) => name.replaceAll("`", "").trim().replace(/\/$/, ""))
    .filter((name) => name !== "" && name !== "–");
}
