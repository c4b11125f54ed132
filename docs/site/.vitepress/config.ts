/** The site: the pages as they are, in README's order, with search and no request to anybody else. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { cp, mkdir } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { slug } from "github-slugger";
import { defineConfig, type MarkdownOptions } from "vitepress";

const project = fileURLToPath(new URL("../../..", import.meta.url));
/** Where collect.ts puts copies of the pages, in the folders that they have in the project. */
const pages = fileURLToPath(new URL("../pages/", import.meta.url));
/** Where files that are no pages, which pages link to, are put. */
const SOURCES = "source";
const linked = new Set<string>();

/** Pages that have another place on the site; VitePress does not change the links to them. */
const REWRITES: Readonly<Record<string, string>> = { "README.md": "index.md" };

interface SidebarGroup {
  readonly text: string;
  readonly items: readonly { readonly text: string; readonly link: string }[];
}

/** The list at the end of README: `1. **Seal**: [in a Containerfile](docs/containers.md) · …`. */
function readingOrder(): SidebarGroup[] {
  const [, list = ""] = readFileSync(join(project, "README.md"), "utf8").split("## Read on");
  return [...list.matchAll(/^\d+\. \*\*(.+?)\*\*: (.*)$/gm)].map(([, text = "", links = ""]) => ({
    text,
    items: [...links.matchAll(/\[(.+?)\]\((.+?)\)/g)].map(([, name = "", path = ""]) => ({
      text: name.replaceAll("`", ""),
      link: `/${path.replace(/\.md$/, "")}`,
    })),
  }));
}

/** Links as they must be on the site: a directory is its README, what is no page is a file beside the pages. */
const markdown: MarkdownOptions = {
  // In the pages `<version>` is text.
  html: false,
  // The pages' own links have the anchors that GitHub gives headings.
  anchor: { slugify: slug },
  config: (md) => {
    const { link_open: before, fence } = md.renderer.rules;
    md.renderer.rules.link_open = (tokens, index, options, env, self) => {
      const token = tokens[index];
      const href = token?.attrGet("href") ?? "";
      const [path = "", anchor] = href.split("#");
      if (token !== undefined && path !== "" && !/^[a-z]+:/.test(path)) {
        const file = relative(pages, join(dirname(env.realPath ?? env.path), decodeURI(path)));
        const target = join(project, file);
        const isDirectory = existsSync(target) && statSync(target).isDirectory();
        const moved = REWRITES[file];
        if (moved !== undefined) {
          token.attrSet("href", `/${moved}${anchor === undefined ? "" : `#${anchor}`}`);
        } else if (isDirectory && existsSync(join(target, "README.md"))) {
          token.attrSet("href", `/${join(file, "README")}${anchor === undefined ? "" : `#${anchor}`}`);
        } else if (!file.endsWith(".md")) {
          linked.add(file);
          token.attrSet("href", `/${SOURCES}/${file}`);
          token.attrSet("target", "_self");
        }
      }
      return before === undefined || before === null
        ? self.renderToken(tokens, index, options)
        : before(tokens, index, options, env, self);
    };
    md.renderer.rules.fence = (tokens, index, options, env, self) => {
      const token = tokens[index];
      if (token?.info.trim() !== "mermaid") return fence?.(tokens, index, options, env, self) ?? "";
      return `<Diagram code="${encodeURIComponent(token.content)}" />`;
    };
  },
};

export default defineConfig({
  title: "seal",
  description:
    "One program that seals bootable container images: it binds a root filesystem to a Secure Boot signature",
  lang: "en",
  // Else browsers ask for one.
  head: [["link", { rel: "icon", href: "data:," }]],
  srcDir: pages,
  outDir: fileURLToPath(new URL("../dist", import.meta.url)),
  cacheDir: fileURLToPath(new URL("../node_modules/.cache/vitepress", import.meta.url)),
  rewrites: REWRITES,
  cleanUrls: false,
  // Each file that pages link to is copied in buildEnd.
  ignoreDeadLinks: [new RegExp(`^/${SOURCES}/`)],
  markdown,
  themeConfig: {
    search: { provider: "local" },
    sidebar: readingOrder(),
    outline: { level: [2, 3] },
    docFooter: { prev: false, next: false },
  },
  buildEnd: async ({ outDir }) => {
    for (const file of linked) {
      const copy = join(outDir, SOURCES, file);
      await mkdir(dirname(copy), { recursive: true });
      await cp(join(project, file), copy, { recursive: true });
    }
  },
});
