/**
 * Reports in a real browser: no error, no request, readable for people with a keyboard, a screen
 * reader or a narrow window.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeSampleTree } from "../../examples/demo/sample-tree.ts";
import { seal } from "../support/cli.ts";
import { describeWith, findPeer } from "../support/peers.ts";
import { vector } from "../support/vectors.ts";

const KEYS = ["--key", "signer.key", "--cert", "signer.crt"];
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const WIDE = { width: 1280, height: 900 };
const NARROW = { width: 360, height: 700 };

describeWith(["chromium"], "a report in Chromium", () => {
  let cwd = "";
  let browser: Browser;

  beforeAll(async () => {
    cwd = mkdtempSync(join(tmpdir(), "seal-test-"));
    writeSampleTree(join(cwd, "root"));
    for (const name of ["signer.key", "signer.crt"])
      writeFileSync(join(cwd, name), vector(`authenticode/keys/${name}`));
    for (const call of [
      ["rootfs", "root", ...KEYS, "--output", "out", "--html", "rootfs.html"],
      ["image", "--from", "dir:root", "--to", "oci:lay:sealed", ...KEYS],
      ["report", "oci:lay:sealed", "out/report.json", "--cert", "signer.crt", "--html", "report.html"],
      ["diff", "dir:root", "oci:lay:sealed", "--html", "diff.html"],
    ]) {
      expect((await seal(call, { cwd })).code).toBeLessThan(2);
    }
    const executablePath = findPeer("chromium") ?? "";
    // As root, Chromium has no sandbox; it shows these pages only.
    browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
  });

  afterAll(async () => {
    await browser?.close();
    rmSync(cwd, { recursive: true, force: true });
  });

  /** The page, and what went wrong while it came up. */
  async function open(name: string, viewport: typeof WIDE, colorScheme: "light" | "dark") {
    // axe is put in by the test; the page's own policy runs no script.
    const context = await browser.newContext({ viewport, colorScheme, bypassCSP: true });
    const page = await context.newPage();
    const trouble: string[] = [];
    const url = pathToFileURL(join(cwd, name)).href;
    page.on("console", (message) => trouble.push(message.text()));
    page.on("pageerror", (error) => trouble.push(String(error)));
    page.on("request", (request) => {
      if (request.url() !== url) trouble.push(`asks for ${request.url()}`);
    });
    await page.goto(url);
    return { page, trouble, close: () => context.close() };
  }

  /** What axe finds (WCAG 2.2 A and AA, and good practice). */
  async function findings(page: Page): Promise<string[]> {
    await page.evaluate(AXE);
    const found = await page.evaluate<{ id: string; nodes: { html: string }[] }[]>(
      "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => ({ id, nodes: nodes.map(({ html }) => ({ html })) })))",
    );
    return found.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`);
  }

  it.each(
    ["rootfs.html", "report.html", "diff.html"].flatMap((name) =>
      (["light", "dark"] as const).flatMap((scheme) => [
        { name, scheme, view: WIDE, width: "wide" },
        { name, scheme, view: NARROW, width: "narrow" },
      ]),
    ),
  )("$name is sound, $width and $scheme", async ({ name, scheme, view }) => {
    const { page, trouble, close } = await open(name, view, scheme);
    expect(await findings(page)).toEqual([]);
    expect(trouble).toEqual([]);
    expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(view.width);
    // A column of hashes is never squeezed to a few characters.
    const widths = await page.evaluate<number[]>(
      "[...document.querySelectorAll('td .hash')].map((one) => one.parentElement.clientWidth)",
    );
    expect(widths.filter((width) => width < 200)).toEqual([]);
    await close();
  });

  it("can be walked through and unfolded with the keyboard", async () => {
    const { page, close } = await open("diff.html", WIDE, "light");
    await page.keyboard.press("Tab");
    expect(await page.evaluate("document.activeElement.textContent")).toBe("Skip to the report");
    const focusSummary = "document.querySelector('summary').focus()";
    const isOpen = "document.querySelector('details').open";
    const before = await page.evaluate<boolean>(isOpen);
    await page.evaluate(focusSummary);
    await page.keyboard.press("Enter");
    expect(await page.evaluate(isOpen)).toBe(!before);
    await close();
  });

  it("shows what is folded when it is printed", async () => {
    const { page, close } = await open("report.html", WIDE, "dark");
    await page.emulateMedia({ media: "print" });
    const ground = await page.evaluate("getComputedStyle(document.body).backgroundColor");
    expect(ground).toBe("rgb(255, 255, 255)");
    expect(await page.evaluate("getComputedStyle(document.querySelector('nav')).display")).toBe("none");
    const height = await page.evaluate<number>(
      "document.querySelector('details:not([open]) ul').getBoundingClientRect().height",
    );
    expect(height).toBeGreaterThan(0);
    await close();
  });
});
