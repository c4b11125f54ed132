/** TOML with the lines of its keys, which the parser does not report. */
import { parse, TomlError, type TomlTable } from "smol-toml";
import { SealError } from "../../errors.ts";
import { isTable, type KeyPath } from "./keys.ts";

export interface TomlFile {
  readonly table: TomlTable;
  /** The line, from 1, where a key first occurs. */
  readonly lineOf: (path: KeyPath) => number;
}

/**
 * @param subject names the file in messages
 * @throws SealError `usage` with line and column for what is not valid TOML
 */
export function parseToml(text: string, subject: string): TomlFile {
  let table: TomlTable;
  try {
    table = parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [line = ""] = error.message.split("\n");
    const reason = line.replace(/^Invalid TOML document: /, "");
    throw new SealError("usage", `${subject}:${error.line}:${error.column}: is not valid TOML: ${reason}`, {
      cause: error,
    });
  }
  let lines: ReadonlyMap<string, number> | null = null;
  return {
    table,
    lineOf: (path) => {
      lines ??= findKeys(text);
      return lines.get(JSON.stringify(path)) ?? 1;
    },
  };
}

/**
 * The line of each key, by its path as JSON. Statements of TOML end at the end of a line: the fewest lines that are
 * TOML by themselves are one, a header or keys with values.
 */
function findKeys(text: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  let header: KeyPath = [];
  let statement = "";
  let start = 1;
  for (const [index, line] of text.split("\n").entries()) {
    statement += `${line}\n`;
    const table = parsedOrNull(statement);
    if (table === null) continue;
    const paths = keyPaths(table);
    if (/^\s*\[/.test(statement)) header = paths.at(-1) ?? [];
    else for (const path of paths) note([...header, ...path]);
    for (let depth = 1; depth <= header.length; depth++) note(header.slice(0, depth));
    statement = "";
    start = index + 2;
  }
  return found;

  function note(path: KeyPath): void {
    const key = JSON.stringify(path);
    if (!found.has(key)) found.set(key, start);
  }
}

function parsedOrNull(text: string): TomlTable | null {
  try {
    return parse(text);
  } catch {
    return null;
  }
}

/** All keys in a table, those of inner tables after their own. */
function keyPaths(table: TomlTable): KeyPath[] {
  return Object.entries(table).flatMap(([key, value]) => {
    const inner = Array.isArray(value) ? value.find(isTable) : value;
    return [[key], ...(inner !== undefined && isTable(inner) ? keyPaths(inner).map((path) => [key, ...path]) : [])];
  });
}
