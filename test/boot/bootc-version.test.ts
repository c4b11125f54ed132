import { describe, expect, it } from "vitest";
import { bootcVersion } from "../../src/boot/bootc-version.ts";
import { seriesOf } from "../../src/composefs/named-release.ts";
import { type MemoryFiles, memoryRootfs } from "../support/tree.ts";

/** A part of a header as it lies in rpm's database: the strings of its first tags. */
const rpm = (...strings: string[]) => `${"\0".repeat(40)}C\0${strings.join("\0")}\0${"\0".repeat(30)}`;
const paragraph = (name: string, status: string, version: string) =>
  `Package: ${name}\nStatus: ${status}\nArchitecture: amd64\nVersion: ${version}\n`;
const INSTALLED = "install ok installed";
const PACMAN = "usr/lib/sysimage/lib/pacman/local";

describe("the bootc in a tree", () => {
  it.each<[string, MemoryFiles, string | null]>([
    ["nothing", { "etc/x": "" }, null],
    [
      "dpkg",
      {
        "var/lib/dpkg/status": [
          paragraph("bootc-x", INSTALLED, "1"),
          paragraph("bootc", INSTALLED, "1.16.4-1~deb13"),
        ].join("\n"),
      },
      "1.16.4",
    ],
    ["dpkg, with an epoch", { "var/lib/dpkg/status": paragraph("bootc", INSTALLED, "2:1.15.2") }, "1.15.2"],
    ["dpkg, removed", { "var/lib/dpkg/status": paragraph("bootc", "deinstall ok config-files", "1.16.4-1") }, null],
    ["dpkg, no release", { "var/lib/dpkg/status": paragraph("bootc", INSTALLED, "1.16-1") }, null],
    ["pacman", { [`${PACMAN}/bootc-1.16.9-1/desc`]: "", [`${PACMAN}/bootc-image-builder-3.0.0-1/desc`]: "" }, "1.16.9"],
    ["pacman, another package", { [`${PACMAN}/bootc-image-builder-3.0.0-1/desc`]: "" }, null],
    [
      "rpm",
      { "usr/share/rpm/rpmdb.sqlite": rpm("bash", "5.2.37", "1.fc44") + rpm("bootc", "1.16.3", "1.fc44") },
      "1.16.3",
    ],
    ["rpm, a name that starts like it", { "var/lib/rpm/rpmdb.sqlite": rpm("bootc-libs", "1.16.3", "1.fc44") }, null],
    ["rpm, twice the same", { "var/lib/rpm/rpmdb.sqlite": rpm("bootc", "1.16.3", "1.fc44").repeat(2) }, "1.16.3"],
    [
      "rpm, of two versions nobody knows which",
      { "var/lib/rpm/rpmdb.sqlite": rpm("bootc", "1.16.3", "1.fc44") + rpm("bootc", "1.16.4", "1.fc44") },
      null,
    ],
    ["rpm, cut off", { "var/lib/rpm/rpmdb.sqlite": "C\0bootc\x001.16" }, null],
  ])("is known from %s", async (_, files, version) => {
    const found = await bootcVersion(memoryRootfs(files));
    expect(found?.version ?? null).toBe(version);
    if (found !== null) expect(found.series).toBe(seriesOf(found.version));
  });

  it("may be older than all that seal knows", async () => {
    const files = { "var/lib/dpkg/status": paragraph("bootc", INSTALLED, "1.7.0-1") };
    expect(await bootcVersion(memoryRootfs(files))).toMatchObject({ series: null, note: null });
  });

  it("may be a release that seal does not know", async () => {
    const files = { "var/lib/dpkg/status": paragraph("bootc", INSTALLED, "1.99.0-1") };
    expect(await bootcVersion(memoryRootfs(files))).toEqual({
      version: "1.99.0",
      path: "var/lib/dpkg/status",
      series: seriesOf("latest"),
      note: expect.stringMatching(/^bootc 1\.99\.0 is a release unknown to seal/),
    });
  });
});
