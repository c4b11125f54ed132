import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { sealedImageJsonSchema } from "../../src/attest/sealed-image.ts";

it("has the JSON Schema that docs/sealed-image-v1.schema.json shows", () => {
  const file = fileURLToPath(new URL("../../docs/sealed-image-v1.schema.json", import.meta.url));
  expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(JSON.parse(JSON.stringify(sealedImageJsonSchema())));
});
