/**
 * Makes the chunks of the program what scripts/launch.ts loads: scripts whose value is a function, with the body of a
 * module of CommonJS. What a chunk imports, of the program, of node and of packages, is loaded when it is used for the
 * first time, and what it computes for its constants (schemas, tables) is computed then. So a verb pays for nothing but
 * what it does, wherever that stands.
 */
import type { Plugin } from "rolldown";
import { parseAst } from "rolldown/parseAst";
import { type ESTree, type ParserOptions, Visitor } from "rolldown/utils";

/** The chunk that holds the helpers of the bundler, needed at once. */
const RUNTIME = "./rolldown-runtime.js";

/** @param directory where the chunks go, of the output */
export function lateImports(directory: string): Plugin {
  return {
    name: "late-imports",
    // What chalk asks the terminal for: seal itself says which colours there are, and the terminal costs as much
    // as all other modules.
    resolveId: (id) => (id === "#supports-color" ? "\0no-colors" : null),
    load: (id) => (id === "\0no-colors" ? "export default { stdout: false, stderr: false };" : null),
    transform: (code, id) => (id.endsWith("/commander/lib/option.js") ? withAsciiNames(code) : null),
    generateBundle(_options, bundle) {
      this.emitFile({ type: "asset", fileName: `${directory}/package.json`, source: '{ "type": "commonjs" }\n' });
      for (const output of Object.values(bundle)) {
        if (output.type !== "chunk") continue;
        const body = toAscii(importLate(output.code, output.fileName), output.fileName);
        output.code = `(function (exports, require, lazy, onDemand, __filename, __dirname) {${body}})\n`;
      }
    },
  };
}

/** The class of characters that commander ends the name of a value with. */
const ANY_NAME = "\\p{ID_Continue}";

/**
 * commander's options, for names in ASCII: for the first one V8 would collect the letters of all scripts, a
 * thirtieth of a start.
 */
function withAsciiNames(code: string): string {
  if (!code.includes(ANY_NAME)) throw new Error(`commander's options have no ${ANY_NAME} any more`);
  return code.replace(ANY_NAME, "\\w");
}

/** How a chunk is parsed: it is the body of a function. */
const CHUNK: ParserOptions = { lang: "js", sourceType: "commonjs" };
/** The whole of a statement that imports. */
const IMPORT = /^(?:const|let) ([\w$]+) = require\(("[^"\\]+")\);$/;
/** The whole of a statement that imports for effects, which modules of node have none of. */
const EFFECTS = /^require\("node:[^"\\]+"\);$/;

/**
 * A chunk as CommonJS whose imports wait until they are used, and so do constants at its top level that take
 * calls or imports to compute. What is an import, such a constant, or a use of one, its syntax tree says; the
 * rest of the text is kept as it is. Constants whose names are declared again somewhere, those of patterns, and
 * variables are computed at once.
 *
 * @param code as the bundler writes it
 * @param file for errors
 * @throws Error with file and line of what can't be made late: an import in another form than the bundler's, a module
 * that is used other than for what it exports, or a name of one that is declared again
 */
export function importLate(code: string, file: string): string {
  const edits: (ESTree.Span & { readonly text: string })[] = [];
  const replace = ({ start, end }: ESTree.Span, text: string) => void edits.push({ start, end, text });
  const textOf = ({ start, end }: ESTree.Span) => code.slice(start, end);
  const refuse = ({ start }: ESTree.Span, reason: string): never => {
    throw new Error(`${place(code, start, file)}: ${reason}`);
  };

  const program = parseAst(code, CHUNK, file);
  if (program.hashbang !== null) replace({ start: 0, end: code.indexOf("\n") + 1 }, "");

  const imported = new Set<string>();
  const rewritten = new Set<ESTree.Node>();
  for (const [index, statement] of program.body.entries()) {
    if (rewritten.has(statement)) continue;
    const [, name, module] = IMPORT.exec(textOf(statement)) ?? [];
    if (name === undefined) {
      if (EFFECTS.test(textOf(statement))) replace(statement, "");
      else if (isImport(statement)) refuse(statement, "scripts/late-imports.ts doesn't know this form of import");
    } else if (module !== JSON.stringify(RUNTIME)) {
      const next = program.body[index + 1];
      const isDefault =
        next !== undefined && textOf(next) === `${name} = require_rolldown_runtime.__toESM(${name}, 1);`;
      replace(statement, `const ${name} = lazy(${module}${isDefault ? ", true" : ""});`);
      rewritten.add(statement);
      if (isDefault) {
        replace(next, "");
        rewritten.add(next);
      }
      imported.add(name);
    }
  }

  const constants = lateConstants(program, imported, rewritten);
  for (const { start, end } of constants.values()) {
    replace({ start, end: start }, "onDemand(() => (");
    replace({ start: end, end }, "))");
  }

  /** Identifiers that name a property. */
  const keys = new Set<ESTree.Node>();
  /** Identifiers of which a property is used. */
  const owners = new Set<ESTree.Node>();
  /** Where the callees of `new` start. */
  const callees = new Set<number>();
  const noteKey = ({ computed, key }: { readonly computed: boolean; readonly key: ESTree.Node }) => {
    if (!computed) keys.add(key);
  };
  // A node is visited before those in it.
  new Visitor({
    Property(node) {
      noteKey(node);
      const { shorthand, value } = node;
      if (!shorthand || value.type !== "Identifier" || !constants.has(value.name)) return;
      replace(node, `${value.name}: ${value.name}()`);
      keys.add(value);
    },
    PropertyDefinition: noteKey,
    AccessorProperty: noteKey,
    MethodDefinition: noteKey,
    MemberExpression({ computed, object, property }) {
      owners.add(object);
      if (!computed) keys.add(property);
    },
    NewExpression: ({ callee }) => void callees.add(callee.start),
    ImportExpression(node) {
      const { source, options, phase } = node;
      const isName = source.type === "Literal" && typeof source.value === "string";
      if (!isName || options !== null || phase !== null)
        refuse(node, "import() takes the name of a module, and nothing else");
      replace(node, `Promise.resolve(lazy(${textOf(source)}, true)())`);
    },
    Identifier(node) {
      const { name, start } = node;
      if (keys.has(node) || constants.get(name)?.name === node) return;
      if (name === "lazy") refuse(node, "lazy is the name of what loads modules: name it otherwise");
      if (name === "onDemand") refuse(node, "onDemand is the name of what computes constants: name it otherwise");
      if (!imported.has(name) && !constants.has(name)) return;
      if (imported.has(name) && !owners.has(node))
        refuse(node, `${name} is loaded late: use only what it exports, and declare no other ${name}`);
      replace(node, callees.has(start) ? `(${name}())` : `${name}()`);
    },
  }).visit({ ...program, body: program.body.filter((statement) => !rewritten.has(statement)) });

  let late = "";
  let at = 0;
  for (const { start, end, text } of edits.sort((a, b) => a.start - b.start)) {
    late += code.slice(at, start) + text;
    at = end;
  }
  return late + code.slice(at);
}

/** The value of a constant, and where the name stands that it is declared with. */
interface LateConstant extends ESTree.Span {
  readonly name: ESTree.Node;
}

/** Constants at the top level of a chunk that wait, by name. @param imported names of modules that are loaded late */
function lateConstants(
  program: ESTree.Program,
  imported: ReadonlySet<string>,
  passed: ReadonlySet<ESTree.Node>,
): ReadonlyMap<string, LateConstant> {
  const declared = declaredNames(program);
  const late = new Set(imported);
  const constants = new Map<string, LateConstant>();
  let candidates = program.body.flatMap((statement) => {
    if (passed.has(statement) || statement.type !== "VariableDeclaration" || statement.kind !== "const") return [];
    const [declarator, ...others] = statement.declarations;
    if (declarator === undefined || others.length > 0 || isImport(statement)) return [];
    const { id, init } = declarator;
    if (id.type !== "Identifier" || init === null || declared.get(id.name) !== 1) return [];
    return [{ statement, id, init }];
  });
  // One that has another one in it would compute that.
  for (let known = -1; known < constants.size; ) {
    known = constants.size;
    candidates = candidates.filter(({ statement, id, init }) => {
      if (!isComputed({ ...program, body: [statement] }, late)) return true;
      constants.set(id.name, { name: id, start: init.start, end: init.end });
      late.add(id.name);
      return false;
    });
  }
  return constants;
}

/** How often names are declared, of whatever scope. */
function declaredNames(program: ESTree.Program): ReadonlyMap<string, number> {
  const names = new Map<string, number>();
  const note = (pattern: ESTree.Node | null): void => {
    switch (pattern?.type) {
      case "Identifier":
        names.set(pattern.name, (names.get(pattern.name) ?? 0) + 1);
        break;
      case "ObjectPattern":
        for (const property of pattern.properties) note(property.type === "Property" ? property.value : property);
        break;
      case "ArrayPattern":
        pattern.elements.forEach(note);
        break;
      case "AssignmentPattern":
        note(pattern.left);
        break;
      case "RestElement":
        note(pattern.argument);
        break;
    }
  };
  const noteFunction = ({ id, params }: ESTree.Function | ESTree.ArrowFunctionExpression) => {
    note(id);
    params.forEach(note);
  };
  new Visitor({
    VariableDeclarator: ({ id }) => note(id),
    FunctionDeclaration: noteFunction,
    FunctionExpression: noteFunction,
    ArrowFunctionExpression: noteFunction,
    ClassDeclaration: ({ id }) => note(id),
    ClassExpression: ({ id }) => note(id),
    CatchClause: ({ param }) => note(param),
    LabeledStatement: ({ label }) => note(label),
  }).visit(program);
  return names;
}

/**
 * Whether something is called, loaded or computed when a program runs, outside of functions that are only made.
 * @param late names of what waits
 */
function isComputed(program: ESTree.Program, late: ReadonlySet<string>): boolean {
  let depth = 0;
  let computed = false;
  const enter = () => void depth++;
  const leave = () => void depth--;
  const found = () => {
    computed ||= depth === 0;
  };
  new Visitor({
    FunctionExpression: enter,
    "FunctionExpression:exit": leave,
    ArrowFunctionExpression: enter,
    "ArrowFunctionExpression:exit": leave,
    CallExpression: found,
    NewExpression: found,
    TaggedTemplateExpression: found,
    Identifier({ name }) {
      if (late.has(name)) found();
    },
  }).visit(program);
  return computed;
}

/** Whether a statement declares a module, in whatever form. */
function isImport(statement: ESTree.Directive | ESTree.Statement): boolean {
  if (statement.type !== "VariableDeclaration") return false;
  return statement.declarations.some(
    ({ init }) =>
      init?.type === "CallExpression" && init.callee.type === "Identifier" && init.callee.name === "require",
  );
}

/** What an escape can't stand for: what a backslash is before, and what ends a line, maybe of a comment. */
const UNESCAPABLE = /(?<=(?<!\\)(?:\\\\)*\\)[^\0-\x7f]|[\u2028\u2029]/;

/**
 * The same chunk in ASCII: V8 keeps it in half the memory, and reading it takes no decoder.
 *
 * @throws Error with file and line where an escape would not be the same as the character
 */
export function toAscii(code: string, file: string): string {
  const refuse = (start: number): never => {
    throw new Error(`${place(code, start, file)}: a character that isn't ASCII, and can't be escaped here`);
  };
  const at = code.search(UNESCAPABLE);
  if (at !== -1) refuse(at);
  new Visitor({
    TaggedTemplateExpression({ quasi }) {
      if (/[^\0-\x7f]/.test(code.slice(quasi.start, quasi.end))) refuse(quasi.start);
    },
  }).visit(parseAst(code, CHUNK, file));
  const ascii = code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
  // Outside of texts and comments an escape may be no JavaScript.
  parseAst(ascii, CHUNK, file);
  return ascii;
}

/** @returns file and line, for an error */
function place(code: string, offset: number, file: string): string {
  return `${file}:${code.slice(0, offset).split("\n").length}`;
}
