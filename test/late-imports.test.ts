import { describe, expect, it } from "vitest";
import { importLate } from "../scripts/late-imports.ts";

/** What a chunk does, with modules that say when they are loaded. */
function run(code: string): string[] {
  const events: string[] = [];
  const modules: Readonly<Record<string, unknown>> = {
    "node:fs": { readFileSync: (path: string) => events.push(`read ${path}`) },
    "./links.js": { Links: class {}, LIST: [1, 2] },
    koffi: { load: () => events.push("koffi.load") },
  };
  const load = (name: string) => {
    events.push(`load ${name}`);
    return modules[name];
  };
  const lazy =
    (name: string, isDefault = false) =>
    () => {
      const module = load(name);
      return isDefault ? Object.create(Object(module), { default: { value: module } }) : module;
    };
  new Function("require", "lazy", "events", importLate(code))(load, lazy, events);
  return events;
}

describe("importLate", () => {
  it("loads what is imported when it is used", () => {
    const code = [
      'const require_links = require("./links.js");',
      'let node_fs = require("node:fs");',
      'events.push("start");',
      '(0, node_fs.readFileSync)("a");',
      "events.push(new require_links.Links() instanceof require_links.Links);",
      "events.push([...require_links.LIST].length);",
    ];
    expect(run(code.join("\n"))).toEqual([
      "start",
      "load node:fs",
      "read a",
      "load ./links.js",
      "load ./links.js",
      true,
      "load ./links.js",
      2,
    ]);
  });

  it("gives the module as the default of a namespace", () => {
    const code = [
      'const require_rolldown_runtime = { __toESM: () => "eager" };',
      'let koffi = require("koffi");',
      "koffi = require_rolldown_runtime.__toESM(koffi, 1);",
      'events.push("start");',
      "koffi.default.load(null); // koffi takes its time",
    ];
    expect(run(code.join("\n"))).toEqual(["start", "load koffi", "koffi.load"]);
  });

  it("loads no module of node for its effects", () => {
    expect(run('require("node:url");\nevents.push("start");')).toEqual(["start"]);
  });

  it("refuses a use that it can't make late", () => {
    const code = 'const require_links = require("./links.js");\nconst { Links } = require_links;';
    expect(() => importLate(code)).toThrow("require_links;: is no use of what a module exports");
  });
});
