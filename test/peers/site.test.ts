/** The documentation as a site, in a real browser: every page, link and diagram, and the search. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { describeWith, findPeer } from "../support/peers.ts";

const project = fileURLToPath(new URL("../..", import.meta.url));
const site = join(project, "docs/site/dist");
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};
const WIDE = { width: 1280, height: 900 };
const NARROW = { width: 360, height: 700 };
/** A page with diagrams. */
const DRAWN = "/docs/how-it-boots.html";

describeWith(["chromium"], "the site", () => {
  let server: Server;
  let browser: Browser;
  let origin = "";

  beforeAll(async () => {
    execFileSync("npm", ["run", "--silent", "docs"], { cwd: project, stdio: ["ignore", "ignore", "inherit"] });
    server = createServer((request, response) => {
      const { pathname } = new URL(request.url ?? "/", "http://localhost");
      const file = join(site, decodeURI(pathname.endsWith("/") ? `${pathname}index.html` : pathname));
      const found = file.startsWith(site) && existsSync(file);
      response.writeHead(found ? 200 : 404, { "content-type": TYPES[extname(file)] ?? "text/plain; charset=utf-8" });
      response.end(found ? readFileSync(file) : "");
    });
    await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    browser = await chromium.launch({
      executablePath: findPeer("chromium") ?? "",
      args: ["--no-sandbox", "--disable-gpu"],
    });
  }, 900_000);

  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  async function open(viewport: typeof WIDE, colorScheme: "light" | "dark", javaScriptEnabled = true) {
    const context = await browser.newContext({ viewport, colorScheme, javaScriptEnabled });
    const page = await context.newPage();
    const trouble: string[] = [];
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") trouble.push(message.text());
    });
    page.on("pageerror", (error) => trouble.push(String(error)));
    page.on("request", (request) => {
      if (!request.url().startsWith(origin) && !request.url().startsWith("data:"))
        trouble.push(`asks for ${request.url()}`);
    });
    page.on("response", (response) => {
      if (response.status() >= 400) trouble.push(`${response.status()} ${response.url()}`);
    });
    return { page, trouble, close: () => context.close() };
  }

  /** Links of a page that stay on the site, as URLs. */
  function linksOf(page: Page): Promise<string[]> {
    return page.$$eval("main a[href], aside a[href]", (links) =>
      links.map((link) => (link as unknown as { href: string }).href),
    );
  }

  /** Diagrams of a page that still stand there as their source. */
  const countUndrawn = (page: Page): Promise<number> => page.locator("pre.diagram").count();

  /** Width of what a page holds, in CSS pixels: more than its window means that one has to scroll sideways. */
  const widthOf = (page: Page): Promise<number> => page.evaluate<number>("document.documentElement.scrollWidth");

  /** Opens a page and waits until its diagrams are drawn, which takes seconds where both cores are busy. */
  async function visit(page: Page, path: string): Promise<void> {
    await page.goto(origin + path, { waitUntil: "networkidle" });
    await expect.poll(() => countUndrawn(page), { timeout: 60_000, message: `diagrams of ${path}` }).toBe(0);
  }

  it("has every page, whose links lead somewhere and whose diagrams are drawn", async () => {
    const { page, trouble, close } = await open(WIDE, "light");
    const seen = new Map<string, Set<string>>();
    const wanted: { from: string; path: string; anchor: string }[] = [];
    const pending = ["/index.html"];
    for (let path = pending.shift(); path !== undefined; path = pending.shift()) {
      if (seen.has(path)) continue;
      await visit(page, path);
      const ids = await page.$$eval("[id]", (elements) => elements.map(({ id }) => id));
      seen.set(path, new Set(ids));
      for (const link of await linksOf(page)) {
        const url = new URL(link);
        if (url.origin !== origin) continue;
        const target = url.pathname === "/" ? "/index.html" : url.pathname;
        wanted.push({ from: path, path: target, anchor: decodeURIComponent(url.hash.slice(1)) });
        if (target.endsWith(".html")) pending.push(target);
      }
    }
    const broken = wanted.filter(({ path, anchor }) =>
      path.endsWith(".html")
        ? anchor !== "" && seen.get(path)?.has(anchor) !== true
        : !existsSync(join(site, decodeURI(path))),
    );
    expect(broken).toEqual([]);
    expect(trouble).toEqual([]);
    const readme = readFileSync(join(project, "README.md"), "utf8");
    for (const [, name] of readme.matchAll(/\]\(docs\/([a-z-]+)\.md/g))
      expect([...seen.keys()]).toContain(`/docs/${name}.html`);
    await close();
  }, 600_000);

  it.each([
    { view: WIDE, scheme: "dark", what: "wide and dark" },
    { view: NARROW, scheme: "light", what: "narrow and light" },
    { view: NARROW, scheme: "dark", what: "narrow and dark" },
  ] as const)(
    "is readable $what",
    async ({ view, scheme }) => {
      const { page, trouble, close } = await open(view, scheme);
      for (const path of ["/docs/hosts.html", "/docs/json.html", "/index.html", DRAWN]) {
        await visit(page, path);
        expect(await widthOf(page)).toBeLessThanOrEqual(view.width);
        const isDark = await page.evaluate("document.documentElement.classList.contains('dark')");
        expect(isDark).toBe(scheme === "dark");
      }
      expect(await page.locator(".diagram svg").count()).toBeGreaterThan(0);
      expect(trouble).toEqual([]);
      await close();
    },
    300_000,
  );

  it("is readable where diagrams are not drawn", async () => {
    const { page, close } = await open(NARROW, "light", false);
    for (const path of ["/index.html", DRAWN]) {
      await page.goto(origin + path, { waitUntil: "networkidle" });
      expect(await countUndrawn(page)).toBeGreaterThan(0);
      expect(await widthOf(page)).toBeLessThanOrEqual(NARROW.width);
    }
    await close();
  }, 120_000);

  it("finds words", async () => {
    const { page, trouble, close } = await open(WIDE, "light");
    await page.goto(`${origin}/index.html`, { waitUntil: "networkidle" });
    await page.click("button.DocSearch-Button");
    await page.fill("#localsearch-input", "revoke");
    await page.waitForSelector("#localsearch-list li a");
    const targets = await page.$$eval("#localsearch-list li a", (links) =>
      links.map((link) => link.getAttribute("href") ?? ""),
    );
    expect(targets.some((target) => target.includes("/docs/"))).toBe(true);
    expect(trouble).toEqual([]);
    await close();
  }, 120_000);
});
