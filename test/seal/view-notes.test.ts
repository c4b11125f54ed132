import { describe, expect, it } from "vitest";
import { type ViewOptions, viewNotes } from "../../src/seal/view-notes.ts";
import type { MountFacts } from "../../src/tree/rootfs.ts";
import { type MemoryFiles, memoryRootfs } from "../support/tree.ts";

const CUT: ViewOptions = { nanoseconds: "cut", sourceDate: null };
const file = (mtimeNsec: number, mtimeSec = 5n) => ({ content: "x", mtimeNsec, mtimeSec });
const directory = (mtimeNsec: number) => ({ content: null, mtimeNsec });
const whole = (count: number): MemoryFiles =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`usr/f${index}`, file(0)]));

async function notesOn(
  files: MemoryFiles,
  options: Partial<ViewOptions> = {},
  view: "mounted" | "layers" = "mounted",
  mount: MountFacts = { mounted: [], touched: [], dropsTouched: false },
) {
  const notes = await viewNotes({ ...memoryRootfs(files, view), mount }, { ...CUT, ...options });
  return notes.map(({ kind, severity, count, paths }) => [kind, severity, count, ...paths]);
}

describe("what of a mount layers may not have", () => {
  it("is nothing for whole seconds, and for the layers themselves", async () => {
    expect(await notesOn({ ...whole(3), "etc/hosts": "127.0.0.1 localhost\n" })).toEqual([]);
    expect(await notesOn({ "etc/x": file(5), "etc/hosts": { content: "", mode: 0o755 } }, {}, "layers")).toEqual([]);
  });

  it("are nanoseconds: cut, counted, or in no format that keeps them", async () => {
    const files = { ...whole(9), "etc/x": file(5), "run/y": file(5), run: directory(5), "boot/z": file(5) };
    expect(await notesOn(files)).toEqual([["subsecond-times", "info", 1, "etc/x"]]);
    expect(await notesOn(files, { nanoseconds: "counted" })).toEqual([["subsecond-times", "warning", 1, "etc/x"]]);
    expect(await notesOn(files, { nanoseconds: "none" })).toEqual([]);
  });

  it("are paths in order, the first five of them", async () => {
    const many = Object.fromEntries(Array.from({ length: 7 }, (_, index) => [`etc/${index}`, file(1)]));
    const [note] = await viewNotes(memoryRootfs({ ...whole(20), ...many }), CUT);
    expect(note).toMatchObject({ count: 7, paths: ["etc/0", "etc/1", "etc/2", "etc/3", "etc/4"] });
  });

  it("may be the times of the base image, where most files have nanoseconds", async () => {
    const files = { ...whole(2), "etc/a": file(5), "etc/b": file(5), "etc/c": file(5) };
    expect(await notesOn(files)).toEqual([
      ["subsecond-times", "info", 3, "etc/a", "etc/b", "etc/c"],
      ["base-times", "warning", 3, "etc/a", "etc/b", "etc/c"],
    ]);
    expect((await notesOn(files, { nanoseconds: "counted" })).map(([kind]) => kind)).toEqual(["subsecond-times"]);
  });

  it("may be unpacked directories, where most have nanoseconds and nothing in them does", async () => {
    const files = {
      "usr/a": directory(5),
      "usr/a/f": file(0),
      "usr/b": directory(6),
      "usr/b/f": file(0),
      "usr/c": directory(7),
    };
    expect((await notesOn(files))[1]).toEqual(["directory-times", "info", 3, "usr/a", "usr/b", "usr/c"]);
    expect((await notesOn({ ...files, "usr/d": null, "usr/e": null, "usr/g": null })).map(([kind]) => kind)).toEqual([
      "subsecond-times",
    ]);
    // Written in this build: what is in it is as new.
    expect(
      (await notesOn({ "usr/a": directory(5), "usr/a/f": file(5), ...whole(1) })).map(([kind]) => kind),
    ).not.toContain("directory-times");
  });

  it("are files of builders and of containers that run", async () => {
    expect(
      await notesOn({
        "etc/hosts": { content: "", mode: 0o755 },
        "etc/hostname": { content: "", mode: 0o644 },
        "etc/resolv.conf": { link: "/x" },
      }),
    ).toEqual([["builder-files", "warning", 1, "etc/hosts"]]);
    const resolver = `# ${"x".repeat(100)}\nnameserver 10.0.0.1\n`;
    expect(await notesOn({ "etc/resolv.conf": resolver, ".dockerenv": "", "run/.containerenv": "" })).toEqual([
      ["mounted-files", "warning", 3, ".dockerenv", "run/.containerenv", "etc/resolv.conf"],
    ]);
    // The image's own one is in its layers.
    expect(await notesOn({ "etc/resolv.conf": resolver })).toEqual([]);
    expect(await notesOn({ "etc/resolv.conf": "# nameserver of nobody\n", ".dockerenv": "" })).toHaveLength(1);
  });

  it("are mounts in it, but not where nothing counts", async () => {
    const mounted = ["etc/resolv.conf", "proc", "run/secrets/key", "boot"];
    const facts = { mounted, touched: [], dropsTouched: false };
    expect(
      await notesOn({ "etc/resolv.conf": "nameserver 10.0.0.1\n", ".dockerenv": "" }, {}, "mounted", facts),
    ).toEqual([["mounted-files", "warning", 3, ".dockerenv", "etc/resolv.conf", "proc"]]);
  });

  it("are directories that were touched, where the builder drops them, and nobody took a kernel out there", async () => {
    const files = { "usr/lib/modules/6/modules.dep": "", "usr/lib/modules/7/vmlinuz": "", "etc/x": "" };
    const touched = ["etc", "run/x", "usr/lib/modules/6", "usr/lib/modules/7"];
    const facts = { mounted: [], touched, dropsTouched: true };
    expect(await notesOn(files, {}, "mounted", facts)).toEqual([
      ["touched-directories", "warning", 2, "etc", "usr/lib/modules/7"],
    ]);
    expect(await notesOn(files, {}, "mounted", { ...facts, dropsTouched: false })).toEqual([]);
  });

  it("are times that a builder rewrites to SOURCE_DATE_EPOCH", async () => {
    const files = {
      "usr/old": file(0, 100n),
      "usr/same": file(0, 200n),
      "usr/new": file(0, 201n),
      "run/x": file(0, 300n),
    };
    expect(await notesOn(files, { sourceDate: new Date(200_000) })).toEqual([
      ["rewritten-times", "warning", 1, "usr/new"],
    ]);
    expect(await notesOn(files)).toEqual([]);
  });
});
