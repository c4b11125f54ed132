/** Changes of a document, one by one: what somebody may have written in place of what is true. */
import type { Document } from "./attest-lab.ts";

type Path = readonly (string | number)[];

/** All places in a document: each value, and each array and object. */
function* places(value: Document, path: Path = []): Generator<Path> {
  if (path.length > 0) yield path;
  if (typeof value !== "object" || value === null) return;
  for (const key of Object.keys(value)) yield* places(value[key], [...path, Array.isArray(value) ? Number(key) : key]);
}

function at(document: Document, path: Path): Document {
  return path.reduce((value, key) => value[key], document);
}

/** The document with another value at a place; null where that is not a value. */
function changed(document: Document, path: Path): Document | null {
  const copy = structuredClone(document);
  const parent = at(copy, path.slice(0, -1));
  const key = path.at(-1) ?? "";
  const value = parent[key];
  if (typeof value === "object" && value !== null) return null;
  // Digests stay digests; anything else becomes what nobody would write.
  if (typeof value === "string" && /^[0-9a-f]{40,}$/.test(value)) {
    parent[key] = `${value.slice(0, -1)}${value.endsWith("1") ? "0" : "1"}`;
  } else if (typeof value === "string") parent[key] = `${value.slice(0, -1)}x`;
  else if (typeof value === "number") parent[key] = value + 1;
  else parent[key] = value === null ? "1" : !value;
  return copy;
}

function without(document: Document, path: Path): Document {
  const copy = structuredClone(document);
  const parent = at(copy, path.slice(0, -1));
  const key = path.at(-1) ?? "";
  if (Array.isArray(parent)) parent.splice(Number(key), 1);
  else delete parent[key];
  return copy;
}

function withMore(document: Document, path: Path): Document | null {
  const copy = structuredClone(document);
  const value = at(copy, path);
  if (typeof value !== "object" || value === null) return null;
  if (Array.isArray(value)) value.push(value[0] ?? "more");
  else value["more"] = "1";
  return copy;
}

/** What stands at a place, with nothing in it; undefined where there is nothing in it already. */
function emptied(value: Document): Document | undefined {
  if (typeof value === "string") return value === "" ? undefined : "";
  if (typeof value !== "object" || value === null || Object.keys(value).length === 0) return undefined;
  return Array.isArray(value) ? [] : {};
}

/** Nothing in all places of one kind at once: in `values` of all PCRs, so that they fit each other. */
export function emptyChanges(document: Document): { what: string; document: Document }[] {
  const kinds = Map.groupBy(places(document), (path) =>
    path.map((key) => (typeof key === "number" ? "*" : key)).join("."),
  );
  return [...kinds].flatMap(([kind, paths]) => {
    const copy = structuredClone(document);
    let count = 0;
    for (const path of paths) {
      const value = emptied(at(copy, path));
      if (value === undefined) continue;
      at(copy, path.slice(0, -1))[path.at(-1) ?? ""] = value;
      count++;
    }
    return count === 0 ? [] : [{ what: `nothing in ${kind}`, document: copy }];
  });
}

/** Each change of a document in one place, with words for it. */
export function allChanges(document: Document): { what: string; document: Document }[] {
  return [...places(document)]
    .flatMap((path) => [
      { what: `changed ${path.join(".")}`, document: changed(document, path) },
      { what: `without ${path.join(".")}`, document: without(document, path) },
      { what: `more in ${path.join(".")}`, document: withMore(document, path) },
    ])
    .filter((one) => one.document !== null);
}
