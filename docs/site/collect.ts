/** Copies the pages to where the generator finds its modules beside them: `pages/`, which git does not keep. */
import { cpSync, globSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const project = fileURLToPath(new URL("../..", import.meta.url));
const pages = fileURLToPath(new URL("pages", import.meta.url));
const PAGES = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "SECURITY.md",
  "docs/*.md",
  "bench/README.md",
  "findings/README.md",
  "examples/**/README.md",
];

rmSync(pages, { recursive: true, force: true });
for (const page of globSync(PAGES, { cwd: project })) cpSync(join(project, page), join(pages, page));
