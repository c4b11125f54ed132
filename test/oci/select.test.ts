import { describe, expect, it } from "vitest";
import { formatPlatform, forPlatform, isPlatform, parsePlatform } from "../../src/oci/platform.ts";
import { type Descriptor, parseDockerSave, parseIndex } from "../../src/oci/schemas.ts";
import { REF_NAME, selectDockerImage, selectPlatform, selectTagged } from "../../src/oci/select.ts";

const AMD64 = parsePlatform("linux/amd64");
const hex = (digit: string) => digit.repeat(64);

interface Entry {
  /** Of the digest. */
  readonly digit: string;
  readonly tag?: string;
  readonly platform?: string;
}

const manifests = (...entries: readonly Entry[]): readonly Descriptor[] =>
  parseIndex(
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        manifests: entries.map(({ digit, tag, platform }) => ({
          mediaType: "application/vnd.oci.image.manifest.v1+json",
          digest: `sha256:${hex(digit)}`,
          size: 1,
          ...(tag === undefined ? {} : { annotations: { [REF_NAME]: tag } }),
          ...(platform === undefined ? {} : { platform: parsePlatform(platform) }),
        })),
      }),
    ),
    "index.json",
  ).manifests;
const tagged = (tag: string | null, ...entries: readonly Entry[]) =>
  selectTagged(manifests(...entries), tag, AMD64, "oci:x").digest.hex[0];

describe("selectTagged", () => {
  it("takes the one with the tag, and without a tag the only one", () => {
    expect(tagged("b", { digit: "1", tag: "a" }, { digit: "2", tag: "b" }, { digit: "3" })).toBe("2");
    expect(tagged(null, { digit: "1", tag: "a" })).toBe("1");
    expect(tagged(null, { digit: "1" })).toBe("1");
  });

  it("takes entries with one digest for one image, whatever their tags", () => {
    expect(tagged(null, { digit: "1", tag: "a" }, { digit: "1", tag: "b" })).toBe("1");
    expect(tagged("a", { digit: "1", tag: "a" }, { digit: "1", tag: "a" })).toBe("1");
  });

  it("takes that of the platform where all have one", () => {
    const arm = { digit: "1", tag: "a", platform: "linux/arm64" };
    const amd = { digit: "2", tag: "a", platform: "linux/amd64" };
    expect(tagged("a", arm, amd)).toBe("2");
    expect(tagged(null, arm, amd)).toBe("2");
    expect(() => tagged("a", arm, amd, { digit: "3", tag: "a" })).toThrow(/has 3 images with the tag "a"/);
    expect(() => tagged("a", amd, { ...amd, digit: "3" })).toThrow(/has 2 images with the tag "a"/);
    expect(() => tagged("a", arm, { ...arm, digit: "3" })).toThrow(
      'oci:x: has 2 images with the tag "a"; give each its own tag, or choose one with --platform',
    );
  });

  it("names the tags that there are, each once", () => {
    const two = [
      { digit: "1", tag: "a" },
      { digit: "2", tag: "b" },
    ];
    expect(() => tagged(null, ...two)).toThrow("oci:x: has 2 images; choose one by its tag (a, b)");
    expect(() => tagged("c", ...two, { digit: "3", tag: "b" })).toThrow(
      'oci:x: has no image with the tag "c"; its tags are a, b',
    );
    expect(() => tagged("c", { digit: "1" })).toThrow(
      'oci:x: has no image with the tag "c"; it has no tags, so give it without one',
    );
    expect(() => tagged(null)).toThrow("oci:x: contains no image");
    expect(() => tagged("c")).toThrow('oci:x: has no image with the tag "c"; it contains no image');
  });

  it("names eight tags at most, none of which talks to the terminal", () => {
    const many = (count: number) => Array.from({ length: count }, (_, index) => ({ digit: "1", tag: `t${index}` }));
    expect(() => tagged("c", ...many(8))).toThrow(/its tags are t0, t1, t2, t3, t4, t5, t6, t7$/);
    expect(() => tagged("c", ...many(10))).toThrow(/t6, t7 and 2 more$/);
    expect(() => tagged("c", { digit: "1", tag: 'a\x1b"\n' })).toThrow(/its tags are a\\u001b\\"\\n$/);
  });
});

describe("selectPlatform", () => {
  it("takes the first for the platform", () => {
    const list = manifests(
      { digit: "0" },
      { digit: "1", platform: "linux/arm64" },
      { digit: "2", platform: "linux/amd64" },
      { digit: "3", platform: "linux/amd64" },
      { digit: "4", platform: "unknown/unknown" },
    );
    expect(selectPlatform(list, AMD64, "oci:x").digest.hex).toBe(hex("2"));
    expect(() => selectPlatform(list, parsePlatform("linux/arm/v6"), "oci:x")).toThrow(
      "oci:x: has no image for linux/arm/v6; choose one with --platform (linux/arm64, linux/amd64, linux/amd64)",
    );
  });
});

describe("selectDockerImage", () => {
  const image = (config: string, ...tags: readonly string[]) => ({ Config: config, RepoTags: tags, Layers: [] });
  const images = (...list: readonly object[]) => parseDockerSave(Buffer.from(JSON.stringify(list)), "manifest.json");
  const two = images(image("1", "docker.io/library/os:latest", "quay.io/os:1"), image("2", "localhost:5000/os:latest"));
  const select = (reference: string | null, list = two) => selectDockerImage(list, reference, "a.tar").Config;

  it("takes the one with the reference, whose tag may be left out, as Docker's own registry", () => {
    expect(select("docker.io/library/os:latest")).toBe("1");
    expect(select("os")).toBe("1");
    expect(select("os:latest")).toBe("1");
    expect(select("quay.io/os:1")).toBe("1");
    expect(select("localhost:5000/os")).toBe("2");
  });

  it("takes the only one without a reference", () => {
    expect(select(null, images(image("1", "os:1")))).toBe("1");
    expect(select(null, images({ Config: "1", RepoTags: null, Layers: [] }))).toBe("1");
  });

  it("names the references that there are", () => {
    const names = "docker.io/library/os:latest, quay.io/os:1, localhost:5000/os:latest";
    expect(() => select(null)).toThrow(`a.tar: has 2 images; choose one by its reference (${names})`);
    expect(() => select("quay.io/os")).toThrow(`a.tar: has no image "quay.io/os"; its references are ${names}`);
    expect(() => select("os", images({ Config: "1", Layers: [] }))).toThrow(/has no image "os"; there are none$/);
    expect(() => select(null, images())).toThrow("a.tar: contains no image");
  });
});

describe("a platform", () => {
  it("is written as containers have it", () => {
    expect(parsePlatform("linux/arm/v7")).toEqual({ os: "linux", architecture: "arm", variant: "v7" });
    expect(formatPlatform({ os: "linux", architecture: "arm", variant: "v7" })).toBe("linux/arm/v7");
    expect(formatPlatform({ os: "linux", architecture: "amd64", variant: "" })).toBe("linux/amd64");
    for (const text of ["linux", "linux/", "/amd64", "linux/amd64/", "linux/amd64/v1/x", "Linux/amd64"]) {
      expect(() => parsePlatform(text)).toThrow(expect.objectContaining({ code: "usage" }));
    }
  });

  it.each([
    ["linux/amd64", "linux/amd64", true],
    ["linux/arm64", "linux/amd64", false],
    ["windows/amd64", "linux/amd64", false],
    ["linux/amd64/v3", "linux/amd64", true],
    ["linux/amd64", "linux/amd64/v1", true],
    ["linux/amd64", "linux/amd64/v3", false],
    ["linux/arm64/v8", "linux/arm64", true],
    ["linux/arm", "linux/arm/v7", true],
    ["linux/arm", "linux/arm/v6", false],
    ["linux/riscv64", "linux/riscv64", true],
  ])("%s is one for %s: %s", (found, wanted, is) => {
    expect(isPlatform(parsePlatform(found), parsePlatform(wanted))).toBe(is);
  });

  it("has a usual variant, and takes another where there is no better", () => {
    const items = (...texts: readonly string[]) => [
      { platform: undefined },
      ...texts.map((text) => ({ platform: parsePlatform(text) })),
    ];
    const chosen = (wanted: string, ...texts: readonly string[]) =>
      forPlatform(items(...texts), parsePlatform(wanted)).map(({ platform }) => platform && formatPlatform(platform));
    expect(chosen("linux/amd64", "linux/amd64/v3", "linux/amd64")).toEqual(["linux/amd64"]);
    expect(chosen("linux/arm", "linux/arm/v6", "linux/arm/v7")).toEqual(["linux/arm/v7"]);
    expect(chosen("linux/arm", "linux/arm/v6")).toEqual(["linux/arm/v6"]);
    expect(chosen("linux/arm/v6", "linux/arm/v6", "linux/arm/v7")).toEqual(["linux/arm/v6"]);
    expect(chosen("linux/riscv64", "linux/amd64")).toEqual([]);
  });
});
