import { describe, expect, it } from "vitest";
import { versionReportSchema } from "../../src/cli/version-verb.ts";
import { LATEST_RELEASE } from "../../src/composefs/releases.ts";
import { seal } from "../support/cli.ts";

describe("seal version", () => {
  it("is what --version says", async () => {
    expect(await seal(["version"])).toEqual(await seal(["--version"]));
  });

  it("says with --verbose what a report of a bug needs", async () => {
    const { code, stdout } = await seal(["version", "--verbose"]);
    expect(code).toBe(0);
    const { version, bootc } = versionReportSchema.parse(JSON.parse((await seal(["version", "--json"])).stdout));
    expect(stdout).toContain(`seal     ${version}\ncommit   not known\nruntime  Node ${process.version}, `);
    expect(stdout).toContain(`; latest is ${LATEST_RELEASE}\n`);
    for (const release of bootc.releases) expect(stdout).toContain(release);
  });
});
