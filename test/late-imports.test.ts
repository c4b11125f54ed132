import { describe, expect, it } from "vitest";
import { importLate, toAscii } from "../scripts/late-imports.ts";

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
  const onDemand = (make: () => unknown) => {
    let made: { readonly value: unknown } | null = null;
    return () => {
      made ??= { value: make() };
      return made.value;
    };
  };
  const body = importLate(code, "chunk.js");
  new Function("require", "lazy", "onDemand", "events", body)(load, lazy, onDemand, events);
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

  it("computes constants when they are used, once", () => {
    const code = [
      'const require_links = require("./links.js");',
      "const made = (() => { events.push('make'); return { a: 1 }; })();",
      "const list = [...require_links.LIST, made.a];",
      "class Copy { static of = () => list; }",
      "events.push('start');",
      "events.push(Copy.of() === list, list.join());",
      "events.push({ made, b: made }.made.a, typeof made, made.a + '');",
    ];
    expect(run(code.join("\n"))).toEqual(["start", "load ./links.js", "make", true, "1,2,1", 1, "object", "1"]);
  });

  it("computes constants that have others in them when they are used", () => {
    const code = [
      "const table = { of: named };",
      "const { length } = 'abc';",
      "const other = () => named;",
      "const named = (() => { events.push('make'); return 'a'; })();",
      "const tables = [table];",
      "events.push('start', length);",
      "events.push(tables[0].of, other());",
    ];
    expect(run(code.join("\n"))).toEqual(["start", 3, "make", "a", "a"]);
  });

  it.each([
    ["const a = new Set([f()]);", "new a(); new a.b(); a`c`;", "new (a())(); new (a()).b(); a()`c`;"],
    ["const a = f();", "x = { a, b: a, a: 1, [a]: 2 };", "x = { a: a(), b: a(), a: 1, [a()]: 2 };"],
    [
      "const a = koffi.b;",
      "x.a; x?.a; x[a]; class A { a = a; #a; a() {} }",
      "x.a; x?.a; x[a()]; class A { a = a(); #a; a() {} }",
    ],
    ["const a = String.raw`b`;", "() => a;", "() => a();"],
  ])("makes the constant of %s late", (declaration, uses, late) => {
    const value = /= (.*);/.exec(declaration)?.[1]?.replace("koffi.", "koffi().");
    expect(importLate(`const koffi = require("koffi");\n${declaration}\n${uses}`, "chunk.js")).toBe(
      `const koffi = lazy("koffi");\nconst a = onDemand(() => (${value}));\n${late}`,
    );
  });

  it.each([
    "const a = 1; const b = { c: [a, -a] }; const d = () => f(); const e = { f() { g(); } };",
    "let a = f(); var b = f(); const { c } = f(), d = f(); const { e } = f();",
    "const a = f(); { const a = 1; x(a); }",
    "const a = f(); x((a) => a);",
    "const a = f(); function g({ b: [a = 1] }, ...c) { return a; }",
    "const a = f(); try {} catch (a) { x(a); }",
    "const a = f(); x(class a {});",
  ])("computes at once: %s", (code) => {
    expect(importLate(code, "chunk.js")).toBe(code);
  });

  it("loads no module of node for its effects", () => {
    expect(run('require("node:url");\nevents.push("start");')).toEqual(["start"]);
  });

  it("changes nothing but imports and their uses", () => {
    const imports = 'const require_links = require("./links.js");\nlet koffi = require("koffi");\n';
    const late = 'const require_links = lazy("./links.js");\nconst koffi = lazy("koffi");\n';
    const kept = [
      '"koffi.load 😀 … require_links.LIST"; // koffi.load import("koffi")',
      '/*\nconst koffi = require("koffi");\nrequire("node:fs");\n@type {import("./links.js").Links} */',
      '`\nlet koffi = require("koffi");\nkoffi.load import("koffi")`;',
      "/koffi.load|require_links.LIST/.test(a);",
      "a.koffi.load; a?.require_links.LIST; a.import; a.lazy;",
      "({ koffi: a.koffi, require_links() {}, get lazy() {} });",
      "class A { koffi = 1; static require_links = 2; lazy() {} #koffi = this.#koffi; }",
      'function f() { const fs = require("node:fs"); require("node:fs"); }',
      'require("./links.js"); require(a); a = require("koffi").load;',
    ].join("\n");
    expect(importLate(`#!/usr/bin/env node\n${imports}${kept}\n`, "chunk.js")).toBe(`${late}${kept}\n`);
  });

  it.each([
    [`\`\${koffi.a\`b\`} koffi.load \${\`\${koffi.c}\`}\``, `\`\${koffi().a\`b\`} koffi.load \${\`\${koffi().c}\`}\``],
    ["new koffi.Type(koffi.a)", "new (koffi()).Type(koffi().a)"],
    ["new /* one */ koffi.types.Type", "new /* one */ (koffi()).types.Type"],
    ["new koffi.a`b`()", "new (koffi()).a`b`()"],
    ["new (koffi.type())()", "new ((koffi()).type())()"],
    ["new a[koffi.type]()", "new a[koffi().type]()"],
    [
      "[...koffi.a, koffi?.b, koffi[koffi.c], koffi\n.d]",
      "[...koffi().a, koffi()?.b, koffi()[koffi().c], koffi()\n.d]",
    ],
    ["({ koffi: koffi.load, [koffi.load]: 1 })", "({ koffi: koffi().load, [koffi().load]: 1 })"],
    ["class A extends koffi.B { [koffi.a] = koffi.a }", "class A extends koffi().B { [koffi().a] = koffi().a }"],
    ["'😀…'; koffi.load", "'😀…'; koffi().load"],
    ['import("koffi")', 'Promise.resolve(lazy("koffi", true)())'],
    [`\`import("a") \${import("b")}\``, `\`import("a") \${Promise.resolve(lazy("b", true)())}\``],
  ])("makes %s late", (code, late) => {
    expect(importLate(`let koffi = require("koffi");\n${code};`, "chunk.js")).toBe(
      `const koffi = lazy("koffi");\n${late};`,
    );
  });

  it.each([
    ["the module itself", "const { load } = koffi;"],
    ["a shorthand", "f({ koffi });"],
    ["an assignment", "koffi = null;"],
    ["a namespace made elsewhere", "f();\nkoffi = require_rolldown_runtime.__toESM(koffi, 1);"],
    ["a namespace of another kind", "koffi = require_rolldown_runtime.__toESM(koffi);"],
    ["a parameter", "function f(koffi) { koffi.load(); }"],
    ["a parameter of an arrow function", "f((koffi) => koffi.load());"],
    ["a variable", "{ const koffi = a; koffi.load(); }"],
    ["a variable of a pattern", "{ const { a: [koffi] } = b; koffi.load(); }"],
    ["a variable of a shorthand pattern", "{ const { koffi = 1 } = b; koffi.load(); }"],
    ["a variable of a loop", "for (const koffi of a) koffi.load();"],
    ["a caught error", "try {} catch (koffi) { koffi.load(); }"],
    ["a function", "{ function koffi() {} }"],
    ["a class", "f(class koffi {});"],
    ["a label", "koffi: for (;;) break koffi;"],
  ])("refuses the name of a module as %s", (_what, code) => {
    const line = code.startsWith("f();") ? 4 : 3;
    expect(() => importLate(`// …\nlet koffi = require("koffi");\n${code}`, "cli/a.js")).toThrow(
      `cli/a.js:${line}: koffi is loaded late: use only what it exports, and declare no other koffi`,
    );
  });

  it.each([
    'var a = require("a");',
    'const a = require("a"), b = require("b");',
    'const { a } = require("a");',
    "const a = require('a');",
    "const a = require(b);",
    'const /* a */ a = require("a");',
  ])("refuses to import by %s", (code) => {
    expect(() => importLate(code, "cli/a.js")).toThrow("cli/a.js:1: scripts/late-imports.ts doesn't know this form");
  });

  it.each(["import(a)", "import(1)", "import(`a`)", 'import("a", { with: { type: "json" } })', 'import.defer("a")'])(
    "refuses %s",
    (code) => {
      expect(() => importLate(code, "cli/a.js")).toThrow("cli/a.js:1: import() takes the name of a module");
    },
  );

  it.each(["function lazy() {}", "f((lazy) => 1)", "lazy.a"])("refuses %s, as loading goes by that name", (code) => {
    expect(() => importLate(code, "cli/a.js")).toThrow("cli/a.js:1: lazy is the name of what loads modules");
  });

  it("refuses another onDemand, as computing constants goes by that name", () => {
    expect(() => importLate("f((onDemand) => 1)", "cli/a.js")).toThrow("cli/a.js:1: onDemand is the name of what");
  });

  it("refuses what is no JavaScript", () => {
    expect(() => importLate("const a = ;", "cli/a.js")).toThrow("Parse failed");
  });
});

describe("toAscii", () => {
  it("gives a program that does the same", () => {
    const code = 'const é = "😀…\\\\é"; return [é, `…é`, /^[…é]$/.test("…"), /^😀$/u.test("😀")]; // … \u00a0';
    const ascii = toAscii(code, "cli/a.js");
    expect(ascii).toMatch(/^[\0-\x7f]+$/);
    expect(new Function(ascii)()).toEqual(new Function(code)());
    expect(new Function(ascii)()).toEqual(["😀…\\é", "…é", true, true]);
  });

  it.each([
    ["after a backslash", '"\\é";'],
    ["after three backslashes", '"\\\\\\é";'],
    ["after a backslash in a regular expression", "/\\é/;"],
    ["as the end of a comment", "// a\u2028f();"],
    ["in a tagged template", "String.raw`…`;"],
  ])("refuses a character %s", (_what, code) => {
    expect(() => toAscii(`f();\n${code}`, "cli/a.js")).toThrow("cli/a.js:2: a character that isn't ASCII");
  });

  it.each([
    ["a space", "f(\u00a0);"],
    ["a name beyond the basic plane", "const 𝒜 = 1;"],
  ])("refuses %s", (_what, code) => {
    expect(() => toAscii(code, "cli/a.js")).toThrow("Parse failed");
  });
});
