/** The texts in the sources that messages are made of, as templates: what is filled in is an ellipsis. */
import { parseAst } from "rolldown/parseAst";

type Node = Readonly<Record<string, unknown>>;
/** Ways in which a text may come out; more than these are not told apart. */
const VARIANTS = 40;

/** Every string and template of a source file, with what it chooses between and joins spelled out. */
export function templatesOf(source: string, name: string): Set<string> {
  const found = new Set<string>();
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) for (const item of value) visit(item);
    else if (isNode(value)) {
      for (const text of variants(value) ?? []) found.add(text.replace(/…+/g, "…"));
      for (const child of Object.values(value)) visit(child);
    }
  };
  visit(parseAst(source, { lang: "ts" }, name));
  return found;
}

/** What an expression may be as a text; null: it is none. */
function variants(node: Node): readonly string[] | null {
  switch (node["type"]) {
    case "Literal":
      return typeof node["value"] === "string" ? [node["value"]] : null;
    case "TemplateLiteral": {
      const quasis = (node["quasis"] as readonly Node[]).map(({ value }) => (value as { cooked: string }).cooked);
      const holes = (node["expressions"] as readonly Node[]).map((hole) => variants(hole) ?? ["…"]);
      return quasis.reduce<readonly string[]>(
        (texts, quasi, index) => joined(joined(texts, index === 0 ? [""] : (holes[index - 1] ?? ["…"])), [quasi]),
        [""],
      );
    }
    case "ConditionalExpression": {
      const [yes, no] = [node["consequent"], node["alternate"]].map((one) => variants(one as Node));
      return yes === null && no === null ? null : [...(yes ?? ["…"]), ...(no ?? ["…"])];
    }
    case "BinaryExpression": {
      const [left, right] = [node["left"], node["right"]].map((one) => variants(one as Node));
      if (node["operator"] !== "+" || (left === null && right === null)) return null;
      return joined(left ?? ["…"], right ?? ["…"]);
    }
    default:
      return null;
  }
}

function joined(texts: readonly string[], more: readonly string[]): readonly string[] {
  const all = texts.flatMap((text) => more.map((one) => text + one));
  return all.length <= VARIANTS ? all : texts.map((text) => `${text}…`);
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null;
}

/** A message must have more of its own than this, or it would be anything. */
const MIN_LETTERS = 8;

/**
 * Whether a message, in which ellipses stand for what differs, is a template as a whole. What it is about may be left
 * out in front, of the message as of the template: a name that is filled in, or one and a colon.
 */
export function isMessage(message: string, templates: ReadonlySet<string>): boolean {
  const patterns = withoutSubject(message)
    .filter((text) => text.replaceAll(/[… ]/g, "").length >= MIN_LETTERS)
    .map((text) => {
      const parts = text.split("…").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
      return new RegExp(`^${parts.join("[^]*")}$`);
    });
  return [...templates].some((template) =>
    withoutSubject(template).some((text) => patterns.some((pattern) => pattern.test(text))),
  );
}

function withoutSubject(text: string): string[] {
  const [name = ""] = /^…,? /.exec(text) ?? [];
  const [before = ""] = /^[^:]{0,30}: /.exec(text) ?? [];
  return [...new Set([text, text.slice(name.length), text.slice(before.length)])];
}
