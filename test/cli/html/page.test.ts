/** Pages of reports: sound HTML whatever is in it, nothing that is loaded or run, and all that the report says. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { parse, type DefaultTreeAdapterTypes as Tree } from "parse5";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeSampleTree } from "../../../examples/demo/sample-tree.ts";
import type { BootTestReport } from "../../../src/cli/boot-test/schema.ts";
import { differencesPage } from "../../../src/cli/html/differences.ts";
import { html } from "../../../src/cli/html/markup.ts";
import { renderPage } from "../../../src/cli/html/page.ts";
import { cmdlineWords } from "../../../src/cli/html/program.ts";
import { seal } from "../../support/cli.ts";
import { vector } from "../../support/vectors.ts";

const KEYS = ["--key", "signer.key", "--cert", "signer.crt"];
/** Markup, an end of an attribute, an entity and the other direction of writing. */
const HOSTILE = `<img src=x onerror=alert(1)> "' &amp; \u202egnp.exe`;
let cwd = "";

/** All elements of a document that parses without an error. */
function elementsOf(page: string): Tree.Element[] {
  const errors: string[] = [];
  const document = parse(page, { onParseError: ({ code, startLine }) => errors.push(`${code} in line ${startLine}`) });
  expect(errors).toEqual([]);
  const found: Tree.Element[] = [];
  const visit = (node: Tree.ParentNode) => {
    for (const child of node.childNodes) {
      if ("tagName" in child) found.push(child);
      if ("childNodes" in child) visit(child);
    }
  };
  visit(document);
  return found;
}

function attribute(element: Tree.Element, name: string): string | undefined {
  return element.attrs.find((one) => one.name === name)?.value;
}

/** What a reader sees. */
function textOf(page: string): string {
  const visit = (node: Tree.Node): string => {
    if ("value" in node) return node.value;
    if ("tagName" in node && node.tagName === "style") return "";
    return "childNodes" in node ? node.childNodes.map(visit).join(" ") : "";
  };
  return visit(parse(page)).replace(/\s+/g, " ");
}

/** What every page must be. */
function expectSound(page: string): void {
  const elements = elementsOf(page);
  const names = new Set(elements.map(({ tagName }) => tagName));
  for (const name of ["script", "img", "link", "iframe", "object", "form", "base"]) expect(names).not.toContain(name);
  for (const element of elements) {
    for (const { name, value } of element.attrs) {
      expect(name).not.toMatch(/^on|^src$|^srcset$|^action$/);
      if (name === "href") expect(value).toMatch(/^#[a-z0-9-]+$/);
    }
  }
  const ids = elements.flatMap((element) => attribute(element, "id") ?? []);
  expect(new Set(ids).size).toBe(ids.length);
  for (const element of elements) {
    const target = attribute(element, "href")?.slice(1) ?? attribute(element, "aria-labelledby");
    if (target !== undefined) expect(ids).toContain(target);
  }
}

const BOOT: BootTestReport = {
  boot: "oci:lay:sealed",
  passed: false,
  secureBoot: "setup",
  expect: HOSTILE,
  reached: "image",
  stages: [
    { stage: "firmware", seconds: 4.1 },
    { stage: "kernel", seconds: 8.9 },
  ],
  end: "timeout",
  refused: null,
  problem: null,
  reason: null,
  root: { source: HOSTILE, type: "overlay", options: ["ro"], digest: null, enforced: false },
  corrupted: null,
  image: { demanded: ["ab".repeat(64)], stored: ["cd".repeat(64)], loader: HOSTILE, keys: [] },
  disk: null,
  accelerator: "tcg",
  seconds: 120,
  pcrs: [{ pcr: 11, value: "ab".repeat(32), expected: "aa".repeat(32), matches: false, phase: null }],
  log: [HOSTILE, "second line"],
};

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), "seal-test-"));
  writeSampleTree(join(cwd, "root"));
  for (const name of ["signer.key", "signer.crt"]) writeFileSync(join(cwd, name), vector(`authenticode/keys/${name}`));
  mkdirSync(join(cwd, `root/etc/${HOSTILE.replaceAll("/", "")}`));
  writeFileSync(
    join(cwd, "root/usr/lib/os-release"),
    `ID=x\nVERSION_ID=1\nPRETTY_NAME="<b>${HOSTILE.replace('"', "")}</b>"\n`,
  );
  const sealed = ["rootfs", "root", ...KEYS, "--output", "out", "--html", "rootfs.html"];
  expect(await seal(sealed, { cwd })).toMatchObject({ code: 0 });
  const image = ["image", "--from", "dir:root", "--to", "oci:lay:sealed", ...KEYS, "--html", "image.html"];
  expect(await seal(image, { cwd })).toMatchObject({ code: 0 });
  writeFileSync(join(cwd, "boot.json"), JSON.stringify(BOOT));
});

afterAll(() => rmSync(cwd, { recursive: true, force: true }));

function page(name: string): string {
  return readFileSync(join(cwd, name), "utf8");
}

describe("a page", () => {
  it.each([
    ["rootfs.html", []],
    ["image.html", []],
    ["lint.html", ["lint", "oci:lay:sealed", "--cert", "signer.crt"]],
    ["unsealed.html", ["lint", "root"]],
    ["inspect.html", ["inspect", "oci:lay:sealed"]],
    ["uki.html", ["inspect", "out/boot/EFI/Linux/6.1.0-sample.efi"]],
    ["diff.html", ["diff", "dir:root", "oci:lay:sealed"]],
    ["report.html", ["report", "oci:lay:sealed", "boot.json"]],
    ["out.html", ["report", "out"]],
  ])("%s is sound HTML that loads and runs nothing", async (name, call) => {
    if (call.length > 0) expect((await seal([...call, "--html", name], { cwd })).code).toBeLessThan(2);
    expectSound(page(name));
  });

  it("of what seal rootfs wrote is not an answer to a check, and says so", async () => {
    const said = (name: string) =>
      `warning: --${name}: out is the output of seal rootfs, which lint rules can't check on its own; give the root filesystem or image with its /boot\n`;
    const call = ["report", "out", "--html", "unchecked.html"];
    expect(await seal(call, { cwd })).toMatchObject({ code: 0, stderr: "" });
    const { code, stderr } = await seal([...call, "--cert", "signer.crt", "--after", "root"], { cwd });
    expect(code).toBe(0);
    expect(stderr.replaceAll(/\n +/g, " ")).toBe(said("cert") + said("after"));
  });

  it("is the same each time", async () => {
    const call = ["inspect", "oci:lay:sealed", "--html"];
    for (const name of ["once.html", "twice.html"]) await seal([...call, name], { cwd });
    expect(page("once.html")).toBe(page("twice.html"));
  });

  it("says what the report says", async () => {
    const text = textOf(page("rootfs.html"));
    const report = JSON.parse(readFileSync(join(cwd, "out/report.json"), "utf8"));
    for (const { path, sha256 } of report.files) {
      expect(text).toContain(path);
      expect(text).toContain(sha256);
    }
    for (const { digest } of report.digests) expect(text).toContain(digest);
    expect(text).toContain("seal with --bootc 1.16.3");
    expect(text).toContain("signed by CN=seal test db rsa2048");
  });

  it("says of a UKI how its initramfs is packed, and until which day certificates are valid", async () => {
    await seal(["inspect", "out/boot/EFI/Linux/6.1.0-sample.efi", "--html", "program.html"], { cwd });
    const text = textOf(page("program.html"));
    expect(text).toMatch(/not compressed, \d/);
    expect(text).toMatch(/\d{4}-\d\d-\d\d – \d{4}-\d\d-\d\d(?!T)/);
  });

  it("keeps names from the image as text", async () => {
    await seal(["report", "oci:lay:sealed", "boot.json", "--html", "hostile.html"], { cwd });
    for (const name of ["rootfs.html", "hostile.html"]) {
      expect(page(name)).toContain("&lt;b&gt;&lt;img src=x onerror=alert(1)&gt;");
      expect(page(name)).not.toContain("<img");
      expect(page(name)).not.toContain("\u202e");
    }
    expect(textOf(page("hostile.html"))).toContain("\\u202egnp.exe");
  });

  it("calls nothing good whose UKI is not signed", async () => {
    await seal(["image", "--from", "dir:root", "--to", "oci:bare:v"], { cwd });
    for (const call of [
      ["inspect", "oci:bare:v"],
      ["report", "oci:bare:v"],
    ]) {
      await seal([...call, "--html", "bare.html"], { cwd });
      expect(textOf(page("bare.html"))).toContain("sealed, but a UKI has no valid signature");
    }
  });

  it("leaves an older one where the verb fails", async () => {
    writeFileSync(join(cwd, "kept.html"), "kept");
    expect((await seal(["inspect", "nothing.efi", "--html", "kept.html"], { cwd })).code).toBe(3);
    expect(page("kept.html")).toBe("kept");
  });

  it.each([
    ["rootfs", "root", ...KEYS, "--output", "other"],
    ["lint", "root"],
    ["diff", "dir:root", "dir:root"],
  ])("of seal %s that can't be written ends it before anything is written", async (...call) => {
    const { code, stderr, stdout } = await seal([...call, "--html", "root"], { cwd });
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr).toMatch(/^seal: .*root: can't be written/);
    expect(() => readFileSync(join(cwd, "other/report.json"))).toThrow();
  });
});

describe("seal report", () => {
  it("writes the page alone to standard output with --html -", async () => {
    const { code, stdout, stderr } = await seal(["report", "out", "--html", "-"], { cwd });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toBe(readFileSync(join(cwd, "out.html"), "utf8"));
  });

  it.each([
    ["no JSON", "{", /broken\.json: is not valid JSON/],
    ["something else", '{"a":1}', /broken\.json: is not a report of seal/],
  ])("refuses %s beside an image", async (_, text, message) => {
    writeFileSync(join(cwd, "broken.json"), text);
    const result = await seal(["report", "oci:lay:sealed", "broken.json", "--html", "never.html"], { cwd });
    expect(result).toMatchObject({ code: 3, stdout: "" });
    expect(result.stderr).toMatch(message);
    expect(() => page("never.html")).toThrow();
  });

  it("takes what verbs print with --json", async () => {
    const print = async (name: string, call: readonly string[]) => {
      const { stdout } = await seal([...call, "--json"], { cwd });
      writeFileSync(join(cwd, name), stdout);
    };
    await print("lint.json", ["lint", "root"]);
    await print("diff.json", ["diff", "dir:root", "oci:lay:sealed"]);
    await print("image.json", ["image", "--from", "dir:root", "--to", "oci:lay:again", ...KEYS]);
    const more = ["lint.json", "diff.json", "image.json", "out/report.json", "boot.json"];
    expect(await seal(["report", "oci:lay:sealed", ...more, "--html", "all.html"], { cwd })).toMatchObject({ code: 0 });
    expectSound(page("all.html"));
    const text = textOf(page("all.html"));
    for (const part of ["Boot path", "Lint: lint.json", "Difference", "Sealed linux/amd64", "Boot test"]) {
      expect(text).toContain(part);
    }
  });
});

describe("html", () => {
  it("keeps every text as text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const elements = elementsOf(
          `<!DOCTYPE html><title>x</title><p title="${html`${text}`.markup}">${html`${text}`.markup}</p>`,
        );
        expect(elements.map(({ tagName }) => tagName)).toEqual(["html", "head", "title", "body", "p"]);
      }),
    );
  });

  it("puts pieces, lists and numbers together", () => {
    expect(html`a${html`<b>`}${[1, "<", null]}${undefined}c`.markup).toBe("a<b>1&lt;c");
  });
});

describe("the parts", () => {
  it("say of each word of a command line what it is for", () => {
    const cmdline = `quiet composefs.digest=v1-sha512-12:${"ab".repeat(64)} composefs=?${"cd".repeat(64)} composefs=x`;
    const text = textOf(cmdlineWords(cmdline).markup);
    expect(text).toMatch(/(?<!not )required digest of the root filesystem \(EROFS V1, sha512\)/);
    expect(text).toMatch(/not required digest of the root filesystem \(sha512\) with \?/);
    expect(text).toMatch(/composefs=x .*wrong/);
  });

  it("fold differences by directory, and say how many are left out", () => {
    const differences = Array.from({ length: 6000 }, (_, index) => ({
      path: `/usr/share/${index}`,
      field: "mtime",
      a: "1",
      b: "2",
    }));
    const report = differencesPage(["a", "b"], { equal: false, digests: ["1", "2"], differences }, []);
    const text = textOf(renderPage([report]));
    expect(text).toContain("The first 5,000 of 6,000.");
    expect(text).toContain("share/ 5,000");
  });

  it("separate the changes of a path", () => {
    const differences = ["mtime", "size"].map((field) => ({ path: "/a", field, a: "1", b: "2" }));
    const report = differencesPage(["a", "b"], { equal: false, digests: ["1", "2"], differences }, []);
    expect(renderPage([report])).toContain(
      '<code>a</code> <span class="dim">mtime:</span> 1 &rarr; 2; <span class="dim">size:</span> 1 &rarr; 2</div>',
    );
  });
});
