import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SERIES } from "../../src/composefs/releases.ts";
import { inputError, SealError } from "../../src/errors.ts";
import { createContext } from "../../src/lint/context.ts";
import { checked, couldNotRun, notApplicable, type Rule } from "../../src/lint/rule.ts";
import { RULES } from "../../src/lint/rules/index.ts";
import { runRules, selectRules } from "../../src/lint/run.ts";
import { digestOf, lintContext, makeUki, SPLIT, sealedTree, UKI_PATH, UNSEALED, without } from "../support/lint.ts";
import type { MemoryFiles } from "../support/tree.ts";

const rule = (id: string, check: Rule["check"], more: Partial<Rule> = {}): Rule => ({
  ...{ id, severity: "warning", finds: "x", applies: "any" },
  ...more,
  check,
});
const problem = { path: "a", message: "M.", fix: "f." };

describe("runRules", () => {
  it("tells findings, passed, not applicable and could not run apart", async () => {
    const rules = [
      rule("warns", () => checked(problem, { ...problem, severity: "info" })),
      rule("fails", () => checked(problem), { severity: "error" }),
      rule("passes", () => checked(null)),
      rule("notes", () => checked({ ...problem, severity: "info" })),
      rule("nothing", () => notApplicable("no such thing")),
      rule("unable", () => couldNotRun("no such tool")),
      rule("throws", () => {
        throw inputError("x", "unreadable");
      }),
      rule("later", () => checked(problem), { applies: "sealed" }),
    ];
    expect(await runRules(rules, lintContext(UNSEALED))).toEqual({
      findings: [
        { ...problem, id: "fails", severity: "error" },
        { ...problem, id: "warns", severity: "warning" },
        { ...problem, id: "warns", severity: "info" },
        { ...problem, id: "notes", severity: "info" },
      ],
      passed: ["passes", "notes"],
      notApplicable: [
        { id: "nothing", reason: "no such thing" },
        { id: "later", reason: "the tree is not sealed" },
      ],
      couldNotRun: [
        { id: "unable", reason: "no such tool" },
        { id: "throws", reason: "x: unreadable" },
      ],
      hosts: [],
      after: null,
    });
  });

  it("says which releases accept a sealed tree, of a mount with the times that fit", async () => {
    const nanos: MemoryFiles = { "etc/motd": { content: "", mtimeNsec: 5 } };
    const hostsOf = async (files: MemoryFiles, options = {}) => (await runRules([], lintContext(files, options))).hosts;
    const accepting = (hosts: Awaited<ReturnType<typeof hostsOf>>) =>
      hosts.map(({ path, verdicts }) => [
        path,
        ...verdicts.filter(({ kind }) => kind === "accepts").map(({ series }) => series.releases[0]),
      ]);
    const v1 = SERIES.filter(({ erofs }) => erofs === "v1");
    const current = [UKI_PATH, ...v1.map(({ releases }) => releases[0])];
    expect(accepting(await hostsOf(await sealedTree()))).toEqual([current]);
    for (const mtime of ["exact", "seconds"] as const) {
      const cmdline = `composefs=${await digestOf({ ...SPLIT, ...nanos }, "latest", mtime)}`;
      expect(accepting(await hostsOf(await sealedTree({ cmdline }, nanos))), mtime).toEqual([current]);
    }
    expect(accepting(await hostsOf(await sealedTree({ cmdline: "rw" })))).toEqual([[UKI_PATH]]);
    // bootc takes the entry for what is to be installed.
    const withEntry = await hostsOf({ ...(await sealedTree()), "boot/loader/entries/x.conf": "title x\n" });
    expect(accepting(withEntry)).toEqual([[UKI_PATH]]);
    // Nothing can be computed of it; a rule says so.
    expect(await hostsOf(without(await sealedTree(), /^sysroot/))).toMatchObject([{ path: UKI_PATH }]);
  });

  it("does not hide bugs", async () => {
    const broken = rule("broken", () => {
      throw new TypeError("a bug");
    });
    await expect(runRules([broken], lintContext(UNSEALED))).rejects.toThrow(TypeError);
  });

  it("leaves rules out, and knows which there are", () => {
    expect(selectRules(RULES, ["kernel", "utf8"])).toHaveLength(RULES.length - 2);
    expect(() => selectRules(RULES, ["kernl"])).toThrow(SealError);
  });

  it("finds nothing in a sound tree, sealed or not, but notes what mounts its root", async () => {
    const notes = [{ id: "uki-initramfs", severity: "info" }];
    for (const [files, noted] of [
      [UNSEALED, []],
      [await sealedTree(), notes],
    ] as const) {
      const { findings, passed, couldNotRun: unable } = await runRules(RULES, lintContext(files));
      expect([findings, unable]).toMatchObject([noted, []]);
      expect(passed).toEqual(expect.arrayContaining(noted.map(({ id }) => id)));
    }
  });

  it("takes nothing for wrong that it can't read", async () => {
    const long = `kargs = [${'"quiet", '.repeat(9)}]`;
    const sound = await sealedTree({ arguments: "quiet" }, { "usr/lib/bootc/kargs.d/x.toml": long });
    const context = lintContext({ ...sound, "boot/loader/keys/auto/PK.auth": new Uint8Array(100) });
    const readContent = async () => {
      throw inputError("x", "permission denied");
    };
    const blind = createContext(
      { ...context.rootfs, readContent },
      { ...context, rootfsFor: async () => context.rootfs },
    );
    const { findings, couldNotRun: unable } = await runRules(RULES, blind);
    expect(findings).toEqual([]);
    expect(unable.map(({ id }) => id)).toEqual(expect.arrayContaining(["uki-signature", "bootc-kargs", "enroll-keys"]));
  });

  it("survives any damage to a UKI, and reports it", async () => {
    const uki = makeUki({ cmdline: "quiet" });
    await fc.assert(
      fc.asyncProperty(
        fc.nat(uki.length),
        fc.array(fc.tuple(fc.nat(1023), fc.nat(255)), { maxLength: 4 }),
        async (end, changes) => {
          const bytes = Uint8Array.from(uki);
          for (const [at, value] of changes) bytes[at] = value;
          const report = await runRules(RULES, lintContext({ ...SPLIT, [UKI_PATH]: bytes.subarray(0, end) }));
          expect(report.findings.some(({ path }) => path === UKI_PATH)).toBe(true);
        },
      ),
      { numRuns: 150 },
    );
  });
});
