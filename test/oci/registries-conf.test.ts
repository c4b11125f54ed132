import { describe, expect, it } from "vitest";
import { isInsecure } from "../../src/oci/registries-conf.ts";

describe("isInsecure", () => {
  const entry = (prefix: string, insecure: boolean) => `[[registry]]\nprefix = "${prefix}"\ninsecure = ${insecure}\n`;

  it.each<[readonly string[], boolean]>([
    [[], false],
    [['[[registry]]\nlocation = "a.io"\ninsecure = true'], true],
    [['[[registry]]\nlocation = "a.io"'], false],
    [[entry("a.io", true)], true],
    [[entry("a.io/me", true)], true],
    [[entry("a.io/me/os", true)], true],
    [[entry("a.io/me/o", true)], false],
    [[entry("*.io", true)], true],
    [[entry("*.a.io", true)], false],
    [[entry("b.io", true)], false],
    [[entry("a.io", true) + entry("a.io/me", false)], false],
    [[entry("a.io/me", false), entry("a.io", true)], false],
    [[entry("a.io", false), entry("a.io", true)], true],
    [["no TOML [", entry("a.io", true)], true],
    [['registry = "a.io"'], false],
  ])("of %j is %s", (files, expected) => {
    expect(isInsecure(files, "a.io/me/os")).toBe(expected);
  });
});
