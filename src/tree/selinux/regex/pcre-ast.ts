/** A pattern in PCRE2's syntax, where order and greediness decide what back references and atomic groups see. */
import type { ByteSet } from "./byteset.ts";

/** `endOrNewline`: at the end, or before a newline that is the last byte. */
export type PcreLook = "start" | "end" | "endOrNewline" | "startLine" | "endLine" | "wordEdge" | "notWordEdge";

export type PcreAst =
  | { readonly kind: "set"; readonly set: ByteSet }
  | { readonly kind: "look"; readonly look: PcreLook }
  | { readonly kind: "concat"; readonly parts: readonly PcreAst[] }
  | { readonly kind: "alternate"; readonly branches: readonly PcreAst[] }
  | {
      readonly kind: "repeat";
      readonly body: PcreAst;
      readonly min: number;
      readonly max: number | null;
      readonly mode: "greedy" | "lazy" | "possessive";
    }
  | { readonly kind: "capture"; readonly index: number; readonly body: PcreAst }
  | { readonly kind: "atomic"; readonly body: PcreAst }
  | { readonly kind: "around"; readonly body: PcreAst; readonly behind: boolean; readonly negative: boolean }
  /** What the capture matched; a name may refer to an index that comes later. */
  | { readonly kind: "reference"; readonly to: number | string; readonly ignoreCase: boolean };

/** Fewest and most bytes that something matches; most is null if there is no bound. */
export interface Width {
  readonly min: number;
  readonly max: number | null;
}

export function widthOf(ast: PcreAst): Width {
  switch (ast.kind) {
    case "set":
      return { min: 1, max: 1 };
    case "look":
    case "around":
      return { min: 0, max: 0 };
    case "reference":
      return { min: 0, max: null };
    case "capture":
    case "atomic":
      return widthOf(ast.body);
    case "concat":
      return ast.parts
        .map(widthOf)
        .reduce((a, b) => ({ min: a.min + b.min, max: add(a.max, b.max) }), { min: 0, max: 0 });
    case "alternate":
      return ast.branches.map(widthOf).reduce((a, b) => ({
        min: Math.min(a.min, b.min),
        max: a.max === null || b.max === null ? null : Math.max(a.max, b.max),
      }));
    case "repeat": {
      const body = widthOf(ast.body);
      return { min: body.min * ast.min, max: ast.max === null || body.max === null ? null : body.max * ast.max };
    }
  }
}

function add(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b;
}
