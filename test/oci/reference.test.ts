/** Names of images, and what was meant by one that stands alone. */
import { describe, expect, it } from "vitest";
import { likelyMeant, parseReference } from "../../src/oci/reference.ts";

describe("a name of an image", () => {
  it.each([
    ["fedora", "docker.io/library/fedora", null],
    ["fedora:43", "docker.io/library/fedora", "43"],
    ["me/os", "docker.io/me/os", null],
    ["docker.io/fedora", "docker.io/library/fedora", null],
    ["index.docker.io/me/os:1", "docker.io/me/os", "1"],
    ["localhost/os", "localhost/os", null],
    ["host:5000/a/b_c:V1.0", "host:5000/a/b_c", "V1.0"],
    ["[::1]:5000/os", "[::1]:5000/os", null],
    ["HOST/os", "HOST/os", null],
  ])("%s", (text, name, tag) => {
    expect(parseReference(text)).toEqual({ name, tag, digest: null });
  });

  it("may have a digest", () => {
    const digest = `sha256:${"0".repeat(64)}`;
    expect(parseReference(`quay.io/x/y:1@${digest}`)).toEqual({ name: "quay.io/x/y", tag: "1", digest });
  });

  it.each([
    "",
    "/",
    "a/",
    "/a",
    "A",
    "host/A",
    "a:",
    "a:b:c",
    "a b",
    "a\n",
    "../a",
    "./a",
    "a//b",
    "a@b",
    `a:${"x".repeat(129)}`,
  ])("is none: %j", (text) => expect(parseReference(text)).toBeNull());

  it("is refused in a moment, whatever it is", () => {
    const start = performance.now();
    for (const text of ["a".repeat(1 << 16), "a-".repeat(1 << 15), "a/".repeat(1 << 15), "a.".repeat(1 << 15)])
      parseReference(`${text}!`);
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});

describe("what was meant by", () => {
  it.each([
    ["quay.io/x/y:1", "docker://quay.io/x/y:1 (registry) or oci:quay.io/x/y:1 (layout)"],
    ["quay.io/x/y", "docker://quay.io/x/y (registry) or oci:quay.io/x/y (layout)"],
    ["host:5000/x", "docker://host:5000/x (registry) or oci:host:5000/x (layout)"],
    ["fedora:43", "docker://fedora:43 (registry) or oci:fedora:43 (layout)"],
    ["localhost/os", "containers-storage:localhost/os (what podman built) or oci:localhost/os (layout)"],
  ])("%s", (text, meant) => expect(likelyMeant(text)).toBe(meant));

  it.each(["out/root", "target", "/target", "./quay.io/x", "docker:image", "oci:", "ftp:x", "a:b", "fedora", "C:\\x"])(
    "%s: nothing",
    (text) => expect(likelyMeant(text)).toBeNull(),
  );
});
