/**
 * Writes the man pages: `node scripts/man.ts OUTDIR` makes OUTDIR/man1/seal.1, one page a verb beside
 * it, and OUTDIR/man5/seal.toml.5. They are made of the declarations that the help pages are made of,
 * and are the same each time.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { VERBS } from "../src/cli/verbs.ts";
import { version } from "../src/cli/version.ts";
import { manPages } from "./man-pages.ts";

const [, , directory] = process.argv;
if (directory === undefined) {
  process.stderr.write("usage: node scripts/man.ts OUTDIR\n");
  process.exitCode = 2;
} else {
  const loaded = await Promise.all(VERBS.map(async (verb) => ({ verb, command: await verb.load() })));
  for (const [name, text] of manPages(loaded, version(), process.env["SOURCE_DATE_EPOCH"])) {
    const path = join(directory, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
}
