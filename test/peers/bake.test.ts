/** The example of a fleet as `docker buildx bake` itself reads it. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { BUILDER_TREES, BUILDX, missingBuilders } from "../support/builders.ts";
import { parseContainerfile } from "../support/containerfile.ts";
import { inTree, PEERS_DIR, peersRequired } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";

const example = fileURLToPath(new URL("../../examples/bake", import.meta.url));
const printed = z.object({
  group: z.object({ default: z.object({ targets: z.array(z.string()) }) }),
  target: z.record(
    z.string(),
    z.object({
      args: z.object({ MACHINE: z.string(), SEALING: z.iso.datetime() }),
      "no-cache-filter": z.array(z.string()),
      secret: z.array(z.string()),
      platforms: z.array(z.string()),
      output: z.array(z.string()),
    }),
  ),
});

describe.skipIf(missingBuilders().length > 0 && !peersRequired)("the bake example", () => {
  function bake(text: string) {
    const cwd = tempDir();
    cpSync(example, join(cwd, "examples/bake"), { recursive: true });
    mkdirSync(join(cwd, "keys"));
    for (const name of ["db.key", "db.crt"]) writeFileSync(join(cwd, "keys", name), "");
    writeFileSync(join(cwd, "docker-bake.hcl"), text);
    const [program = "", ...args] = [...inTree(join(PEERS_DIR, BUILDER_TREES.trixie)), BUILDX];
    const call = [...args, "bake", "--file", "docker-bake.hcl", "--print"];
    return spawnSync(program, call, { cwd, env: { ...process.env, HOME: cwd }, encoding: "utf8" });
  }
  const hcl = readFileSync(join(example, "docker-bake.hcl"), "utf8");

  it("builds every machine for all platforms, and seals anew each time", () => {
    const before = Math.floor(Date.now() / 1000) * 1000;
    const { status, stdout, stderr } = bake(hcl);
    expect(status, stderr).toBe(0);
    const { group, target } = printed.parse(JSON.parse(stdout));
    const machines = readdirSync(join(example, "machines")).sort();
    expect(group.default.targets.toSorted()).toEqual(machines);
    const { stages } = parseContainerfile(readFileSync(join(example, "Containerfile"), "utf8"));
    const sealing = stages.filter(({ instructions }) => instructions.some(({ text }) => text.includes("seal rootfs")));
    for (const machine of machines) {
      const one = target[machine];
      expect(one?.args.MACHINE).toBe(machine);
      expect(Date.parse(one?.args.SEALING ?? "")).toBeGreaterThanOrEqual(before);
      expect(one?.["no-cache-filter"]).toEqual(sealing.map(({ name }) => name));
      expect(one?.platforms).toEqual(["linux/amd64", "linux/arm64"]);
      expect(one?.secret.map((secret) => secret.split(",")[0])).toEqual(["id=key", "id=cert"]);
      expect(one?.output).toEqual([`type=oci,dest=${machine}.tar`]);
    }
  });

  it("is read by a program that sees mistakes", () => {
    const { status, stderr } = bake(hcl.replace("timestamp()", "timestamps()"));
    expect(status).toBe(1);
    expect(stderr).toContain("timestamps");
  });
});
