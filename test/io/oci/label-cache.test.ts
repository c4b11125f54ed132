import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { utf8 } from "../../../src/bytes.ts";
import { CacheDirectory } from "../../../src/io/oci/cache-directory.ts";
import { labelCache } from "../../../src/io/oci/label-cache.ts";
import { tempDir } from "../../support/temp.ts";

const POLICY = [utf8("labels 1"), utf8("/etc/selinux/config"), utf8("x")];
const TABLE = utf8("a table");

function storeIn(path: string) {
  const said: string[] = [];
  const warn = (line: string) => void said.push(line);
  const options = { path, subject: "--cache c", warn, now: () => new Date() };
  return { store: labelCache(new CacheDirectory(options)), said };
}

describe("labels in the cache", () => {
  it("are those of all that they depend on", async () => {
    const path = tempDir();
    const { store, said } = storeIn(path);
    expect(await store.find(POLICY)).toBeNull();
    await store.keep(POLICY, TABLE);
    expect(Buffer.from((await storeIn(path).store.find(POLICY)) ?? "")).toEqual(Buffer.from(TABLE));
    const others = [POLICY.slice(1), [...POLICY, utf8("")], [utf8("labels 1/etc/selinux/config"), utf8("x")]];
    for (const other of others) expect(await store.find(other)).toBeNull();
    const [name = ""] = readdirSync(path);
    expect([name, statSync(join(path, name)).mode & 0o777]).toEqual([
      expect.stringMatching(/^[0-9a-f]{64}\.labels$/),
      0o600,
    ]);
    expect(said).toEqual([]);
  });

  it("are found again, with a line, where their file is damaged", async () => {
    const path = tempDir();
    await storeIn(path).store.keep(POLICY, TABLE);
    const file = join(path, readdirSync(path)[0] ?? "");
    const whole = readFileSync(file);
    for (const bytes of [whole.subarray(0, -1), Buffer.concat([whole, TABLE]), whole.fill(2, 7, 8)]) {
      writeFileSync(file, bytes);
      const { store, said } = storeIn(path);
      expect(await store.find(POLICY)).toBeNull();
      expect(said).toEqual([expect.stringMatching(/^--cache c: .*\. The labels are found again$/)]);
    }
  });
});
