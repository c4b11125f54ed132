import { createHash, createPublicKey, verify } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { toHex } from "../../../src/bytes.ts";
import { concat } from "../../../src/chunks.ts";
import { measureReportSchema } from "../../../src/cli/measure/command.ts";
import { parsePe, sectionData } from "../../../src/pe/headers.ts";
import { measuredSets, predictPcr11 } from "../../../src/pe/measure.ts";
import { PCR_BANKS, type PcrBank } from "../../../src/pe/pcr-events.ts";
import { type PolicySignatures, policyDigest } from "../../../src/pe/pcr-policy.ts";
import { profileGroups } from "../../../src/pe/profiles.ts";
import { seal } from "../../support/cli.ts";
import { tempDir } from "../../support/temp.ts";
import { goldenOutput, UKI_CASES, type UkiCase } from "../../support/uki-cases.ts";
import { vector } from "../../support/vectors.ts";

const has = (golden: UkiCase, option: string) => golden.args.includes(option);
const finished = UKI_CASES.filter(({ output }) => output !== undefined);
/** systemd-measure 257 measures `.dtbauto` as `.hwids` and the other way round; what it says of them is wrong. */
const right = (golden: UkiCase) =>
  golden.ukify.startsWith("262") || !(has(golden, "--devicetree-auto") || has(golden, "--hwids"));

function uki(golden: UkiCase): { cwd: string } {
  const cwd = tempDir();
  writeFileSync(join(cwd, "uki.efi"), goldenOutput(golden));
  return { cwd };
}

function banksOf(golden: UkiCase): string[] {
  const at = golden.args.indexOf("--pcr-banks");
  return at === -1 ? [] : ["--banks", golden.args[at + 1] ?? ""];
}

describe("seal measure", () => {
  const texts = finished.filter((golden) => golden.stdout?.startsWith("11:") === true && !has(golden, "--phases"));
  for (const golden of texts) {
    it(`${right(golden) ? "finds" : "does not repeat"} what ukify ${golden.ukify} printed for ${golden.case}`, async () => {
      const { code, stdout } = await seal(["measure", "uki.efi", ...banksOf(golden)], uki(golden));
      expect(code).toBe(0);
      const theirs = golden.stdout?.replace(/\n+/g, "\n");
      if (right(golden)) expect(stdout).toBe(theirs);
      else expect(stdout).not.toBe(theirs);
    });
  }
  it("was compared with both versions", () => {
    expect(new Set(texts.map(({ ukify }) => ukify)).size).toBe(2);
    expect(texts.filter(right).length).toBeGreaterThan(4);
  });

  it("says where firmware for devices in the UKI would make a difference", async () => {
    const golden = finished.find((one) => one.case === "efifw");
    if (golden === undefined) throw new Error("no such case");
    for (const json of [[], ["--json"]]) {
      const { code, stderr } = await seal(["measure", "uki.efi", ...json], uki(golden));
      expect({ code, stderr }).toEqual({
        code: 0,
        stderr: expect.stringMatching(/^PCR 11 assumes: .* \(\.efifw\): .*\n$/),
      });
    }
    const plain = finished.find((one) => one.case === "minimal");
    if (plain === undefined) throw new Error("no such case");
    expect((await seal(["measure", "uki.efi"], uki(plain))).stderr).toBe("");
  });

  it("asks for --reference with a directory", async () => {
    expect(await seal(["measure", "."], { cwd: tempDir() })).toMatchObject({
      code: 2,
      stderr: "seal: .: is a directory; give a UKI, or --reference with the keys of the firmware\n",
    });
  });

  it("reports profiles and phases as JSON", async () => {
    const golden = finished.find((one) => one.case === "profiles-pcrsig" && one.ukify.startsWith("262"));
    if (golden === undefined) throw new Error("no such case");
    const result = await seal(
      ["measure", "uki.efi", "--banks", "sha256", "--phases", "ready,enter-initrd", "--json"],
      uki(golden),
    );
    const report = measureReportSchema.parse(JSON.parse(result.stdout));
    expect(report.profiles).toEqual(["main", "factory", "debug"]);
    expect(Object.keys(report.pcrs)).toEqual(["sha256"]);
    expect(report.pcrs["sha256"]?.map(({ profile, phase }) => `${profile} ${phase}`)).toEqual(
      [0, 1, 2].flatMap((profile) => [`${profile} enter-initrd`, `${profile} ready`]),
    );
    expect(golden.stdout).toContain(report.pcrs["sha256"]?.[2]?.hash);
  });

  it("refuses what is not a UKI", async () => {
    const cwd = tempDir();
    writeFileSync(join(cwd, "kernel"), vector("uki/inputs/kernel"));
    writeFileSync(join(cwd, "text"), "text");
    expect(await seal(["measure", "kernel"], { cwd })).toMatchObject({ code: 3, stdout: "" });
    expect((await seal(["measure", "kernel"], { cwd })).stderr).toBe(
      "seal: kernel: has no .linux section, so it is not a UKI. PCR 11 is predicted for UKIs only\n",
    );
    expect((await seal(["measure", "text"], { cwd })).code).toBe(3);
    expect((await seal(["measure", "kernel", "--banks", "md5"], { cwd })).code).toBe(2);
  });
});

describe("policies that ukify signed", () => {
  const KEYS = ["pcr.pub", "pcr2.pub"].map((name) => createPublicKey(vector(`uki/inputs/${name}`)));
  const fingerprint = (index: number) =>
    createHash("sha256")
      .update(KEYS[index]?.export({ format: "der", type: "pkcs1" }) ?? "")
      .digest("hex");

  for (const golden of finished.filter((one) => has(one, "--pcr-private-key") && right(one))) {
    it(`${golden.case} of ${golden.ukify} are for the predicted values, and their signatures hold`, () => {
      const pe = parsePe([goldenOutput(golden)], "uki");
      const groups = profileGroups(pe);
      let checked = 0;
      for (const [profile, group] of groups.entries()) {
        const section = group.find(({ name }) => name === ".pcrsig");
        if (section === undefined) continue;
        const policies: PolicySignatures = JSON.parse(Buffer.from(concat(section.content)).toString());
        const sets = measuredSets(groups, profile);
        const phase = (golden.args[golden.args.indexOf("--phases") + 1] ?? "").split(/[ ,]/);
        for (const [bank, entries] of Object.entries(policies)) {
          const phases = [...phase, ...PHASES, ...golden.args.join(",").split(/[ ,]/)].filter((path) =>
            /^enter-initrd/.test(path),
          );
          const expected = sets.flatMap((set) =>
            predictPcr11(set.sections, [bank as PcrBank], phases).map((one) => toHex(policyDigest(one))),
          );
          for (const { pol, sig, pkfp, ref } of entries) {
            expect(expected).toContain(pol);
            const key = KEYS[[0, 1].findIndex((index) => fingerprint(index) === pkfp)];
            if (key === undefined || sig === undefined) throw new Error("signed by nobody");
            const reference = ref === undefined ? Buffer.alloc(0) : createHash("sha256").update(ref).digest();
            const hash = golden.ukify.startsWith("257") ? bank : "sha256";
            const message = Buffer.concat([Buffer.from(pol, "hex"), reference]);
            expect(verify(hash, message, key, Buffer.from(sig, "base64"))).toBe(true);
            checked++;
          }
        }
      }
      expect(checked).toBeGreaterThan(0);
    });
  }

  const PHASES = [
    "enter-initrd",
    "enter-initrd:leave-initrd",
    "enter-initrd:leave-initrd:sysinit",
    "enter-initrd:leave-initrd:sysinit:ready",
  ];
});

describe("predictPcr11", () => {
  const content = (text: string) => [Buffer.from(text)];
  it("takes sections in its own order, and passes over empty and other ones", () => {
    const [linux, cmdline] = [
      { name: ".linux", content: content("kernel") },
      { name: ".cmdline", content: content("rw") },
    ];
    const expected = predictPcr11([linux, cmdline], PCR_BANKS, ["enter-initrd"]);
    const others = [cmdline, { name: ".osrel", content: content("") }, { name: ".own", content: content("x") }, linux];
    expect(predictPcr11(others, PCR_BANKS, ["enter-initrd", "enter-initrd"])).toEqual(expected);
    expect(predictPcr11([linux], PCR_BANKS, ["enter-initrd"])).not.toEqual(expected);
  });
  it("measures what the file holds, in as many bytes as VirtualSize says", () => {
    const golden = finished.find((one) => one.case === "pcrsig");
    if (golden === undefined) throw new Error("no such case");
    const pe = parsePe([goldenOutput(golden)], "uki");
    const names = pe.sections.map((section) => ({ name: section.name, content: sectionData(pe, section) }));
    expect(profileGroups(pe)).toEqual([names]);
  });
});
