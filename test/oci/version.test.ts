import { expect, it } from "vitest";
import { formatJson, type JsonObject } from "../../src/oci/json.ts";
import { parseConfig } from "../../src/oci/schemas.ts";
import { versionAnnotation } from "../../src/oci/version.ts";

const KEY = "org.opencontainers.image.version";

function annotationOf(manifest: JsonObject | null, labels: Record<string, string> | null, system: string | null) {
  const document = { config: { Labels: labels }, rootfs: { type: "layers", diff_ids: [] } };
  const config = parseConfig(formatJson(document), "config");
  return versionAnnotation({ config, documents: { config: document, manifest } }, system, "its manifest");
}

it.each([
  ["of the system", null, null, "42", "42"],
  ["of the system, whose manifest says other things", { annotations: { a: "b" } }, { c: "d" }, "42", "42"],
  ["of the label", null, { [KEY]: "42.7", version: "1" }, "42", "42.7"],
  ["of the old label", {}, { version: "1" }, "42", "1"],
  ["of the system where the label is empty", null, { [KEY]: "", version: "" }, "42", "42"],
] as const)("a manifest gets the version %s", (_, manifest, labels, system, version) => {
  expect(annotationOf(manifest, labels, system)).toEqual({ [KEY]: version });
});

it("stays as it is where it has one, and where nothing tells one", () => {
  expect(annotationOf({ annotations: { [KEY]: "own" } }, { [KEY]: "42.7" }, "42")).toEqual({});
  expect(annotationOf({ annotations: { [KEY]: "" } }, null, "42")).toEqual({});
  expect(annotationOf(null, null, null)).toEqual({});
});

it("is refused where its annotations are none", () => {
  expect(() => annotationOf({ annotations: [] }, null, "42")).toThrow(
    /^its manifest: annotations: is not a JSON object/,
  );
});
