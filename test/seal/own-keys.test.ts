import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openRootfs } from "../../src/io/rootfs.ts";
import { ownPolicy } from "../../src/seal/own-keys.ts";
import { attestLab, ok, PLATFORM } from "../support/attest-lab.ts";
import { writeLayout } from "../support/layout.ts";
import { sealableLayers } from "../support/sealable.ts";
import { tarArchive, tarDirectory, tarFile } from "../support/tar.ts";

const KEYS = "usr/lib/bootc/install/secureboot-keys";

/** An image with keys for machines to enrol, by the names of their directories. */
function withKeys(cwd: string, layout: string, sets: Readonly<Record<string, (name: string) => Uint8Array>>): void {
  const parents = ["usr", "usr/lib", "usr/lib/bootc", "usr/lib/bootc/install", KEYS];
  const layer = tarArchive(
    ...[...parents, ...Object.keys(sets).map((set) => `${KEYS}/${set}`)].map((path) => tarDirectory(`${path}/`)),
    ...Object.entries(sets).flatMap(([set, read]) =>
      ["PK.auth", "KEK.auth", "db.auth"].map((name) => tarFile(`${KEYS}/${set}/${name}`, read(name))),
    ),
  );
  writeLayout(join(cwd, layout), [...sealableLayers(), layer], { tag: "1" });
}

describe("the keys that an image brings along", () => {
  it("are those of a firmware, where there is one set of them that firmware enrols", async () => {
    const { cwd } = await attestLab();
    await ok(["keys", "generate", "--output", "keys"], cwd);
    const good = (name: string) => readFileSync(join(cwd, "keys", name));
    const policyOf = async (sets: Parameters<typeof withKeys>[2]) => {
      withKeys(cwd, "image-with-keys", sets);
      const source = { kind: "oci", path: "image-with-keys", reference: "1", subject: "image" } as const;
      const { rootfs } = await openRootfs(source, { algorithm: null, xattrs: [], cwd, platform: PLATFORM[1] });
      return ownPolicy(rootfs);
    };
    const policy = await policyOf({ auto: good });
    expect(policy?.enforced).toBe(true);
    expect(await policyOf({ ours: good })).toEqual(
      policy === null ? null : expect.objectContaining({ enforced: true }),
    );
    // systemd-boot takes this one by itself, whatever stands beside it.
    expect(await policyOf({ auto: good, ours: () => Buffer.of() })).not.toBeNull();
    expect(await policyOf({})).toBeNull();
    expect(await policyOf({ ours: good, theirs: good })).toBeNull();
    expect(await policyOf({ auto: () => Buffer.from("no keys") })).toBeNull();
    expect(await policyOf({ auto: (name) => good(name === "db.auth" ? "PK.auth" : name) })).toBeNull();
  });

  it("say nothing of what a machine measures that they do not start", async () => {
    const { cwd } = await attestLab();
    await ok(["keys", "generate", "--output", "keys"], cwd);
    withKeys(cwd, "in2", { auto: (name) => readFileSync(join(cwd, "keys", name)) });
    await ok(
      ["image", "--from", "oci:in2:1", "--to", "oci:own:1", "--key", "db.key", "--cert", "db.crt", ...PLATFORM],
      cwd,
    );
    await ok(["attest", "--from", "oci:own:1", "--export-tbs", "tbs"], cwd);
    const { predicate } = JSON.parse(readFileSync(join(cwd, "tbs/sealed-image.json"), "utf8"));
    expect(predicate.firmware).toBeNull();
    expect(predicate.boots).toHaveLength(1);
    expect(predicate.boots[0].omitted.map(({ pcr }: { pcr: number }) => pcr)).toEqual(expect.arrayContaining([4, 7]));
    await ok(["attest", "--from", "oci:own:1", "--attest-key", "attest.key"], cwd);
    await ok(["verify", "oci:own:1", "--attest-cert", "attest.pub"], cwd);
  });
});
