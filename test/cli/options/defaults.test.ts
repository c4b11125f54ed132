import { expect, it } from "vitest";
import { digestOptions } from "../../../src/cli/options/digest.ts";
import { freshOptions } from "../../../src/cli/options/fresh.ts";
import { parseValues } from "../../../src/cli/options/parse.ts";
import { planDigest } from "../../../src/seal/digest-plan.ts";
import { FRESH_DEFAULTS } from "../../../src/seal/lower-layers.ts";

it("plans the digest that the library plans where nothing is said", () => {
  expect(planDigest(parseValues({}, digestOptions.declarations, {}))).toEqual(planDigest());
});

it("makes fresh images as the library does where nothing is said", () => {
  expect(parseValues({}, freshOptions.declarations, {})).toEqual(FRESH_DEFAULTS);
});
