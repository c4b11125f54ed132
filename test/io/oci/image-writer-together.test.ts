/** Images that several processes write into one layout at the same time. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { isLayout, parseImageTarget } from "../../../src/io/oci/image-target.ts";
import { type ImageWork, writeOciImage } from "../../../src/io/oci/image-writer.ts";
import { formatJson } from "../../../src/oci/json.ts";
import { tempDir } from "../../support/temp.ts";

/** What another process does before an index gets to the disk for the first time. */
const other = vi.hoisted((): { work: (() => void) | null } => ({ work: null }));

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof import("node:fs")>();
  const writeFileSync: typeof fs.writeFileSync = (...args) => {
    const work = String(args[0]).endsWith("index.json") ? other.work : null;
    if (work !== null) {
      other.work = null;
      work();
    }
    fs.writeFileSync(...args);
  };
  return { ...fs, writeFileSync };
});

const { writeFileSync } = await vi.importActual<typeof import("node:fs")>("node:fs");

function image(content: string, check: ImageWork["check"] = async () => {}): ImageWork {
  const platform = { os: "linux", architecture: "amd64" };
  return {
    write: async ({ blobs }) => ({ manifest: await blobs.add([formatJson({ content })]), platform }),
    check,
  };
}

const write = (cwd: string, to: string, work: ImageWork) => {
  const target = parseImageTarget(to, "--to", cwd);
  if (!isLayout(target)) throw new Error(`${to} is no layout`);
  return writeOciImage(target, work);
};

function tagsOf(layout: string): string[] {
  const { manifests } = JSON.parse(readFileSync(join(layout, "index.json"), "utf8"));
  return manifests.map((one: { annotations: Record<string, string> }) => Object.values(one.annotations).join());
}

it("keeps what another process put into the index meanwhile", async () => {
  const cwd = tempDir();
  const path = join(cwd, "out/index.json");
  await write(cwd, "oci:out:first", image("1"));
  other.work = () => {
    const index = JSON.parse(readFileSync(path, "utf8"));
    const [entry] = index.manifests;
    const added = { ...entry, annotations: { "org.opencontainers.image.ref.name": "other" } };
    writeFileSync(path, JSON.stringify({ ...index, manifests: [entry, added] }));
  };
  await write(cwd, "oci:out:second", image("2"));
  expect(tagsOf(join(cwd, "out"))).toEqual(["first", "other", "second"]);
});

it("joins a layout that another process made meanwhile", async () => {
  const cwd = tempDir();
  const first = image("1", async () => {
    await write(cwd, "oci:out:second", image("2"));
  });
  await write(cwd, "oci:out:first", first);
  expect(tagsOf(join(cwd, "out"))).toEqual(["second", "first"]);
});
