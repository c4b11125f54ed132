import { describe, expect, it } from "vitest";
import { createUi, type UiOptions } from "../../../src/cli/terminal/ui.ts";
import type { ProcessPort } from "../../../src/io/process-port.ts";

const OPTIONS: UiOptions = { quiet: false, verbose: false, color: true, progress: true };

interface Terminal {
  readonly env?: Record<string, string>;
  readonly stdout?: number | null;
  readonly stderr?: number | null;
}

/** A ui whose clock goes on a second with each look at it. */
function uiOn({ env = {}, stdout = null, stderr = null }: Terminal, options: Partial<UiOptions> = {}) {
  let written = "";
  let time = 0;
  const port: ProcessPort = {
    env,
    cwd: "/",
    stdout: { write: () => {}, columns: stdout },
    stderr: {
      write: (data) => {
        written += String(data);
      },
      columns: stderr,
    },
    stdin: async () => new Uint8Array(),
    now: () => new Date(0),
    elapsed: () => time++ * 1000,
  };
  return { ui: createUi(port, { ...OPTIONS, ...options }), written: () => written };
}

const CLEAR = "\r\x1b[K";

describe("progress", () => {
  it("stands in one line of the terminal and goes away", () => {
    const { ui, written } = uiOn({ stderr: 20 });
    const step = ui.step("reading x");
    step.update("1 file");
    step.update("12,345 files and more");
    step.done("12,345 files");
    expect(written()).toBe(`${CLEAR}reading x  1 file${CLEAR}reading x  12,345 f${CLEAR}`);
  });

  it("makes room for results that go to the same terminal", () => {
    const { ui, written } = uiOn({ stdout: 80, stderr: 80 });
    ui.clearProgress();
    ui.step("verifying").update("x");
    ui.clearProgress();
    ui.clearProgress();
    expect(written()).toBe(`${CLEAR}verifying  x${CLEAR}`);
  });

  it("has a bar where it is known how much there is, and where there is room", () => {
    const drawn = (columns: number, share: number | null) => {
      const { ui, written } = uiOn({ stderr: columns });
      ui.step("reading x").update("3 files · 2 MB/s", share);
      return written().slice(CLEAR.length);
    };
    expect(drawn(80, 0.359)).toBe("reading x  ███████░░░░░░░░░░░░░   35%  3 files · 2 MB/s");
    expect(drawn(80, 1.5)).toBe("reading x  ████████████████████  100%  3 files · 2 MB/s");
    expect(drawn(42, 0.5)).toBe("reading x  ███░░░   50%  3 files · 2 MB/s");
    expect(drawn(38, 0.5)).toBe("reading x  3 files · 2 MB/s");
    expect(drawn(80, null)).toBe("reading x  3 files · 2 MB/s");
  });

  it("takes no more columns than there are, however wide its characters", () => {
    const { ui, written } = uiOn({ stderr: 20 });
    ui.step("reading").update("日本語日本語");
    expect(written()).toBe(`${CLEAR}reading  日本語日本`);
  });

  it.each<[string, Terminal, Partial<UiOptions>]>([
    ["in a log", {}, {}],
    ["on a terminal that knows no commands", { stderr: 80, env: { TERM: "dumb" } }, {}],
    ["with --no-progress", { stderr: 80 }, { progress: false }],
    ["with --quiet", { stderr: 80 }, { quiet: true }],
    ["where only results go to a terminal", { stdout: 80 }, {}],
  ])("is not shown %s", (_, terminal, options) => {
    const { ui, written } = uiOn(terminal, options);
    const step = ui.step("reading");
    step.update("1 file");
    expect(written()).toBe("");
  });

  it("is one line of a log when it has taken long", () => {
    const { ui, written } = uiOn({});
    ui.step("reading a\x1b[2J").done("3 files");
    expect(written()).toBe("");
    const slow = ui.step("reading a\x1b[2J");
    slow.update("1 file");
    slow.done("3 files");
    expect(written()).toBe("reading a\\x1b[2J  3 files  2.0 s\n");
  });
});

describe("lines", () => {
  it("empty what progress left in a terminal, and only there", () => {
    const terminal = uiOn({ stderr: 80, env: { NO_COLOR: "1" } });
    terminal.ui.note("a");
    terminal.ui.step("reading").update("x");
    terminal.ui.warn("b");
    terminal.ui.note("c");
    expect(terminal.written()).toBe(`a\n${CLEAR}reading  x${CLEAR}warning: b\nc\n`);
    const dumb = uiOn({ stderr: 80, env: { TERM: "dumb" } });
    dumb.ui.note("a");
    expect(dumb.written()).toBe("a\n");
  });

  it("start and end where they should, whatever the names in them", () => {
    const { ui, written } = uiOn({}, { verbose: true });
    ui.note("a\nb");
    ui.warn("c\x1b[31m");
    ui.detail("d\u202ee");
    expect(written()).toBe("a\\x0ab\nwarning: c\\x1b[31m\nd\\u202ee\n");
  });

  it("are warnings only with --quiet", () => {
    const { ui, written } = uiOn({}, { quiet: true });
    ui.note("a");
    ui.block("b\nc");
    ui.warn("d");
    expect(written()).toBe("warning: d\n");
  });
});

it("messages are broken between words where a terminal would break them inside, and nowhere else", () => {
  const text = "one two three four fivefivefivefivefive six";
  const { ui, written } = uiOn({ stderr: 12, env: { NO_COLOR: "1" } });
  ui.note(text);
  ui.warn("seven eight");
  expect(written()).toBe("one two\nthree four\nfivefivefivefivefive\nsix\nwarning:\nseven eight\n");
  const log = uiOn({});
  log.ui.note(text);
  expect(log.written()).toBe(`${text}\n`);
});

describe("colour", () => {
  it.each<[string, Terminal, Partial<UiOptions>, { out: boolean; err: boolean }]>([
    ["no terminal", {}, {}, { out: false, err: false }],
    ["a terminal", { stdout: 80, stderr: 80 }, {}, { out: true, err: true }],
    ["results in a pipe", { stderr: 80 }, {}, { out: false, err: true }],
    ["messages in a pipe", { stdout: 80 }, {}, { out: true, err: false }],
    ["NO_COLOR", { stdout: 80, stderr: 80, env: { NO_COLOR: "1" } }, {}, { out: false, err: false }],
    ["an empty NO_COLOR", { stdout: 80, stderr: 80, env: { NO_COLOR: "" } }, {}, { out: true, err: true }],
    ["--no-color", { stdout: 80, stderr: 80 }, { color: false }, { out: false, err: false }],
    ["TERM=dumb", { stdout: 80, stderr: 80, env: { TERM: "dumb" } }, {}, { out: false, err: false }],
    ["FORCE_COLOR", { env: { FORCE_COLOR: "1" } }, {}, { out: true, err: true }],
    ["FORCE_COLOR=0", { stdout: 80, stderr: 80, env: { FORCE_COLOR: "0" } }, {}, { out: false, err: false }],
    ["NO_COLOR and FORCE_COLOR", { env: { NO_COLOR: "1", FORCE_COLOR: "1" } }, {}, { out: false, err: false }],
  ])("with %s", (_, terminal, options, expected) => {
    const { ui } = uiOn(terminal, options);
    expect({ out: ui.out.red("x") !== "x", err: ui.err.red("x") !== "x" }).toEqual(expected);
  });
});
