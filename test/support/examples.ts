/** The examples in the comments of the sources. */

export interface Example {
  /** Of the function that it is an example of. */
  readonly name: string;
  /** A whole program. */
  readonly code: string;
}

const COMMENT = /^\/\*\*\n((?: \*.*\n)*?) \*\/\nexport (?:async )?function (\w+)/gm;

/** Each `@example` in a comment over an exported function: a block of code behind the tag. */
export function examplesIn(source: string): Example[] {
  return [...source.matchAll(COMMENT)].flatMap(([, comment = "", name = ""]) => {
    const text = comment.replaceAll(/^ \* ?/gm, "");
    const tags = text.match(/^@example$/gm)?.length ?? 0;
    const blocks = [...text.matchAll(/^@example\n```ts\n(.*?)^```$/gms)];
    if (blocks.length !== tags || tags > 1) throw new Error(`${name}: give one @example with a block of code`);
    return blocks.map(([, code = ""]) => ({ name, code }));
  });
}
