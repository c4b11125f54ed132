/**
 * measure --reference --format beside the verifiers' own tools: the same bytes for the same files, and machines
 * that they recognize.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { fromHex, toHex } from "../../src/bytes.ts";
import { concat } from "../../src/chunks.ts";
import { type ReferenceReport, referenceReportSchema } from "../../src/cli/measure/reference.ts";
import { extendingEvents, parseEventLog } from "../../src/pe/event-log.ts";
import { parsePe } from "../../src/pe/headers.ts";
import { EVENT_TYPES, type EventType, PCR_BANKS } from "../../src/pe/pcr-events.ts";
import { PePass } from "../../src/pe/pe-pass.ts";
import { bootReferences } from "../../src/seal/boot-reference.ts";
import { namedVariable, type OtherVariable } from "../../src/sign/authvar.ts";
import { encodeGuid, knownGuid } from "../../src/sign/guid.ts";
import { readPolicy, type SecureBootPolicy } from "../../src/sign/secure-boot-policy.ts";
import { encodeSignatureLists, imageHashList, parseSignatureLists } from "../../src/sign/siglist.ts";
import { keylimeReferenceState } from "../../src/verifiers/keylime.ts";
import { pcrlockComponents } from "../../src/verifiers/pcrlock.ts";
import { efiProgram } from "../support/boot-lab.ts";
import { seal } from "../support/cli.ts";
import { type EventToLog, encodeEventLog } from "../support/event-log.ts";
import { keylimeFailures, keylimeState } from "../support/keylime.ts";
import {
  loggedVariables,
  MACHINE_NEEDS,
  PCRLOCKS,
  SYSTEMD_COMPONENTS,
  secureBootVariable,
  startMachine,
} from "../support/pcrlock.ts";
import { describeWith, inTree, peerTree, runPeer } from "../support/peers.ts";
import { tempDir } from "../support/temp.ts";
import { vector } from "../support/vectors.ts";

/**
 * Where systemd-pcrlock expects what systemd-stub does not measure: an empty section, and (of 262) firmware for
 * devices, which the stub measures on those devices alone.
 */
const BETTER_KNOWN = { trixie: ["initrd-empty-single"], sid: ["efifw", "initrd-empty-single"] };

/**
 * One start of each systemd-pcrlock for all files: its `lock-uki` of each, null where that refuses the file
 * for duplicate sections.
 */
function lockUkis(suite: "trixie" | "sid", directory: string, files: readonly string[]): (string | null)[] {
  const script =
    'cd "$0" && for file; do /usr/lib/systemd/systemd-pcrlock lock-uki "$file" >"$file.out" 2>"$file.err"; done; true';
  const [unshare = "", ...enter] = inTree(peerTree(suite));
  const { status, stderr } = spawnSync(unshare, [...enter, "sh", "-c", script, directory, ...files], {
    encoding: "utf8",
  });
  expect(status, stderr).toBe(0);
  return files.map((file) => {
    const text = readFileSync(join(directory, `${file}.out`), "utf8");
    const refused = readFileSync(join(directory, `${file}.err`), "utf8").includes("Bad message");
    return refused ? null : text;
  });
}

describeWith(["trees", "root"], "components of single UKIs", () => {
  it("are what systemd-pcrlock makes of everything that ukify writes", () => {
    const directory = tempDir();
    const ukis = readdirSync(new URL("../vectors/uki/outputs", import.meta.url)).flatMap((file) => {
      const pe = parsePe([vector(`uki/outputs/${file}`)], file.replace(/\.gz$/, ""));
      return pe.sections.some(({ name }) => name === ".linux") ? [pe] : [];
    });
    for (const { subject, file } of ukis) writeFileSync(join(directory, subject), concat(file));
    const own = ukis.map((pe) => {
      const chain = { bootLoader: null, uki: new PePass(pe, "verify"), addons: [], taken: [], sidecars: [] };
      const policy = readPolicy([], "firmware");
      const choices = { policy, banks: PCR_BANKS, phases: [], kernelArguments: "", now: new Date() };
      const { output } = pcrlockComponents(bootReferences([chain], choices).references, PCR_BANKS);
      const files = output.kind === "files" ? output.files : [];
      return files.filter(({ name }) => name.startsWith("650-uki.pcrlock.d/")).map(({ text }) => text);
    });
    for (const suite of ["trixie", "sid"] as const) {
      const theirs = lockUkis(
        suite,
        directory,
        ukis.map(({ subject }) => subject),
      );
      const different = ukis.flatMap(({ subject }, index) => {
        const [first, ...further] = own[index] ?? [];
        // Profiles and device trees to choose from are duplicate sections to it.
        if (further.length > 0) return theirs[index] === null ? [] : [`${subject} is not refused`];
        return first === theirs[index] ? [] : [subject.replace(/\.\d+\.efi$/, "")];
      });
      expect([...new Set(different)]).toEqual(BETTER_KNOWN[suite]);
    }
  }, 60_000);
});

let cwd = "";
const at = (path: string) => join(cwd, path);
const run = async (...args: string[]) => {
  const result = await seal(args, { cwd });
  expect(result.code, result.stderr).toBe(0);
  return result;
};
const sign = (directory: string) => ["--key", `${directory}/db.key`, "--cert", `${directory}/db.crt`];
const reference = async (...args: string[]): Promise<ReferenceReport> =>
  referenceReportSchema.parse(
    JSON.parse((await run("measure", ...args, "--reference", "--banks", PCR_BANKS.join(","))).stdout),
  );
/** The files of a format, by name. */
async function components(output: string, ...args: string[]): Promise<Record<string, string>> {
  await run("measure", ...args, "--reference", "--format", "pcrlock", "--output", output);
  const names = readdirSync(at(output), { recursive: true, encoding: "utf8" }).filter((name) => !name.endsWith(".d"));
  return Object.fromEntries(names.toSorted().map((name) => [name, readFileSync(at(join(output, name)), "utf8")]));
}

async function makeKeys(): Promise<void> {
  for (const name of ["kernel", "initrd-1", "initrd-2"]) writeFileSync(at(name), vector(`uki/inputs/${name}`));
  for (const directory of ["keys", "other"]) await run("keys", "generate", "--output", directory);
}

/**
 * A `/boot` of two UKIs by db's key, and a boot loader and an addon for one of them.
 * @param signer directory of the key for these
 */
async function makeBoot(boot: string, signer: string): Promise<void> {
  const [stub, addon, loader] = ["linuxx64.efi.stub", "addonx64.efi.stub", "systemd-bootx64.efi"].map((name) =>
    efiProgram("trixie", name),
  ) as [string, string, string];
  for (const [name, initrd] of [
    ["one", "initrd-1"],
    ["two", "initrd-2"],
  ] as const) {
    mkdirSync(at(`${boot}/EFI/Linux/${name}.efi.extra.d`), { recursive: true });
    const inputs = ["--linux", "kernel", "--initrd", initrd, "--os-release", `ID=${name}`, "--cmdline", name];
    const output = `${boot}/EFI/Linux/${name}.efi`;
    await run("build-uki", ...inputs, "--stub", stub, ...sign("keys"), "--output", output);
  }
  mkdirSync(at(`${boot}/EFI/BOOT`));
  await run("sign", loader, ...sign(signer), "--output", `${boot}/EFI/BOOT/BOOTX64.EFI`);
  const parts = ["--cmdline", "more", "--os-release", "", "--stub", addon, ...sign(signer)];
  await run("build-uki", ...parts, "--output", `${boot}/EFI/Linux/two.efi.extra.d/a.addon.efi`);
}

/** UEFI_VARIABLE_DATA. */
function variableData({ name, vendor }: OtherVariable, value: Uint8Array): Buffer {
  const lengths = Buffer.alloc(16);
  lengths.writeBigUInt64LE(BigInt(name.length), 0);
  lengths.writeBigUInt64LE(BigInt(value.length), 8);
  return Buffer.concat([encodeGuid(vendor), lengths, Buffer.from(name, "utf16le"), value]);
}
const hashed = (data: Uint8Array) =>
  Object.fromEntries(PCR_BANKS.map((bank) => [bank, createHash(bank).update(data).digest()])) as EventToLog["digests"];
const dataEvent = (pcr: number, type: EventType, data: Uint8Array): EventToLog => ({
  pcr,
  type: EVENT_TYPES[type],
  digests: hashed(data),
  data,
});

/** The variables of a machine with these keys; without dbx, unless db is to be revoked. */
const variables = () => {
  const esl = (directory: string, name: string) => readFileSync(at(`${directory}/${name}.esl`));
  return [
    secureBootVariable(true),
    { id: namedVariable("PK"), value: esl("keys", "PK") },
    { id: namedVariable("KEK"), value: esl("keys", "KEK") },
    { id: namedVariable("db"), value: Buffer.concat([esl("keys", "db"), esl("other", "db")]) },
  ];
};

/**
 * What a machine logs that boots one of the ways.
 * @param authorities directories of the keys, as their db lets programs start
 */
function logOfBoot({ pcrs }: ReferenceReport["boots"][number], authorities: readonly string[]): Uint8Array {
  const measured = (pcr: number, wanted: EventType) =>
    (pcrs.find((one) => one.pcr === pcr)?.events ?? [])
      .filter(({ type }) => type === wanted)
      .map(({ digests }) => ({
        pcr,
        type: EVENT_TYPES[wanted],
        digests: Object.fromEntries(PCR_BANKS.map((bank) => [bank, fromHex(digests[bank] ?? "") ?? Buffer.of()])),
        data: Buffer.of(),
      }));
  const policy = [...variables(), { id: namedVariable("dbx"), value: Buffer.of() }];
  const entries = authorities.map((directory) => {
    const [list] = parseSignatureLists(readFileSync(at(`${directory}/db.esl`)), directory);
    const [entry] = list?.signatures ?? [];
    if (entry === undefined) throw new Error(`${directory} has no db`);
    return Buffer.concat([encodeGuid(entry.owner), entry.data]);
  });
  return encodeEventLog(PCR_BANKS, [
    ...policy.map(({ id, value }) => dataEvent(7, "EV_EFI_VARIABLE_DRIVER_CONFIG", variableData(id, value))),
    dataEvent(7, "EV_SEPARATOR", Buffer.alloc(4)),
    dataEvent(4, "EV_EFI_ACTION", Buffer.from("Calling EFI Application from Boot Option")),
    ...[0, 1, 2, 3, 4, 5, 6].map((pcr) => dataEvent(pcr, "EV_SEPARATOR", Buffer.alloc(4))),
    ...entries.map((entry) => dataEvent(7, "EV_EFI_VARIABLE_AUTHORITY", variableData(namedVariable("db"), entry))),
    ...measured(4, "EV_EFI_BOOT_SERVICES_APPLICATION"),
    ...measured(11, "EV_IPL"),
  ]);
}

function booted({ boots }: ReferenceReport, index: number): ReferenceReport["boots"][number] {
  const boot = boots[index];
  if (boot === undefined) throw new Error(`there is no way ${index} to boot`);
  return boot;
}

describeWith([...MACHINE_NEEDS, "nitro-tpm-pcr-compute"], "reference values of a /boot", () => {
  const KEYS = ["--keys", "keys", "--db", "other/db.auth"];
  beforeAll(async () => {
    cwd = mkdtempSync(join(tmpdir(), "seal-test-"));
    await makeKeys();
    await makeBoot("boot", "other");
  }, 60_000);
  afterAll(() => rmSync(cwd, { recursive: true, force: true }));

  it.each(PCRLOCKS)("are components that %s makes too, of files and machines, and recognizes", async (pcrlock) => {
    const own = await components(pcrlock, "boot", ...KEYS);
    const report = await reference("boot", ...KEYS);
    const machine = await startMachine(
      at(`${pcrlock}-machine`),
      variables(),
      logOfBoot(booted(report, 1), ["other", "keys"]),
    );
    try {
      const lock = (...args: string[]) => {
        const { status, stdout, stderr } = machine.run(pcrlock, ...args);
        expect(status, stderr).toBe(0);
        return String(stdout);
      };
      const written = (name: string) => lock(name, "--pcrlock=-");
      expect(own).toEqual({
        "240-secureboot-policy.pcrlock.d/generated.pcrlock": written("lock-secureboot-policy"),
        "620-secureboot-authority.pcrlock.d/generated.pcrlock": written("lock-secureboot-authority"),
        "640-boot-loader.pcrlock.d/BOOTX64.pcrlock": lock("lock-pe", at("boot/EFI/BOOT/BOOTX64.EFI")),
        "650-uki.pcrlock.d/one.pcrlock": lock("lock-uki", at("boot/EFI/Linux/one.efi")),
        "650-uki.pcrlock.d/two.pcrlock": lock("lock-uki", at("boot/EFI/Linux/two.efi")),
        "660-addons.pcrlock.d/600-absent.pcrlock": '{"records":[]}\n',
        "660-addons.pcrlock.d/300-two.pcrlock": lock("lock-pe", at("boot/EFI/Linux/two.efi.extra.d/a.addon.efi")),
      });
      // With all that systemd brings for the time until the initrd.
      const all = [`--components=${at(pcrlock)}`, `--components=${SYSTEMD_COMPONENTS}`];
      const options = ["--pcr=4+7+11", "--location=740-:740-", "--json=short"];
      const predicted: Record<string, { pcr: number; values: string[] }[]> = JSON.parse(
        lock("predict", ...all, ...options),
      );
      for (const { pcr, values } of report.boots.flatMap((boot) => boot.pcrs.filter((one) => one.pcr !== 12))) {
        for (const bank of PCR_BANKS)
          expect(predicted[bank]?.find((one) => one.pcr === pcr)?.values, `PCR ${pcr}`).toContain(values[bank]);
      }
    } finally {
      machine.stop();
    }
  });

  it("are what nitro-tpm-pcr-compute makes of the same programs", async () => {
    // It takes a db of several lists for one list.
    await makeBoot("mine", "keys");
    cpSync(at("mine"), at("single"), { recursive: true });
    for (const name of ["two.efi", "two.efi.extra.d"]) rmSync(at(`single/EFI/Linux/${name}`), { recursive: true });
    const images = (...names: string[]) => names.flatMap((name) => ["--image", at(`mine/EFI/${name}`)]);
    const stored = ["PK", "KEK", "db"].flatMap((name) => [`--${name}`, at(`keys/${name}.esl`)]);
    const compute = (...args: string[]) => {
      const { status, stdout, stderr } = runPeer("nitro-tpm-pcr-compute", args);
      expect(status, stderr).toBe(0);
      return String(stdout);
    };
    const format = ["--reference", "--format", "nitro-tpm"];

    const one = images("BOOT/BOOTX64.EFI", "Linux/one.efi");
    expect((await run("measure", "single", ...format, "--keys", "keys")).stdout).toBe(compute(...one, ...stored));
    expect((await run("measure", "single", ...format, "--no-secure-boot")).stdout).toBe(compute(...one));

    await run("measure", "mine", ...format, "--keys", "keys", "--output", "nitro");
    expect(readdirSync(at("nitro"))).toEqual(["one.json", "two.json"]);
    const read = (name: string) => readFileSync(at(`nitro/${name}`), "utf8");
    expect(read("one.json")).toBe(compute(...one, ...stored));
    const two = images("BOOT/BOOTX64.EFI", "Linux/two.efi", "Linux/two.efi.extra.d/a.addon.efi");
    // It does not know what an addon adds to the command line.
    const [own, theirs] = [read("two.json"), compute(...two, ...stored)].map((text) => text.split("\n"));
    expect(own?.flatMap((line, index) => (line === theirs?.[index] ? [] : [line.slice(0, 11)]))).toEqual([
      '    "PCR12"',
    ]);
  });
});

describeWith(["keylime-python", "root"], "Keylime's reference state", () => {
  const own = (variables: SecureBootPolicy["variables"]) => {
    const policy = { enforced: true, setupMode: false, variables, db: [], dbx: [] };
    const { output } = keylimeReferenceState([], policy);
    return JSON.parse(output.kind === "document" ? output.text : "");
  };
  const theirs = (log: Uint8Array) => {
    const directory = tempDir();
    writeFileSync(join(directory, "log"), log);
    const { scrtm_and_bios, ...state } = keylimeState(join(directory, "keylime"), join(directory, "log"));
    expect(scrtm_and_bios).toHaveLength(1);
    return state;
  };

  it("has the keys as Keylime reads them in the log of a machine", () => {
    const log = vector("event-log/ovmf-systemd.bin.gz");
    // Keylime takes two applications for a mistake, and has no kernels then.
    expect({ ...theirs(log), kernels: [] }).toEqual(own(loggedVariables(log)));
  });

  it("has certificates and hashes in any number of lists", () => {
    const known = loggedVariables(vector("event-log/ovmf-systemd.bin.gz"));
    const hashes = (...letters: string[]) => {
      const owner = knownGuid("77fa9abd-0359-4d32-bd60-28f4e78f784b");
      return encodeSignatureLists([
        imageHashList(
          owner,
          letters.map((letter) => Buffer.alloc(32, letter)),
        ),
      ]);
    };
    const variables = known.map(({ id, value }) =>
      id.name === "db" ? { id, value: Buffer.concat([hashes("a", "b"), value, hashes("c")]) } : { id, value },
    );
    variables.push({ id: namedVariable("dbx"), value: hashes("d", "e", "f") });
    const events = variables.map(({ id, value }) =>
      dataEvent(7, "EV_EFI_VARIABLE_DRIVER_CONFIG", variableData(id, value)),
    );
    const state = theirs(encodeEventLog(PCR_BANKS, events));
    expect(own(variables)).toMatchObject({ pk: state["pk"], kek: state["kek"], db: state["db"], dbx: state["dbx"] });
    expect([own(variables).db.length, own(variables).dbx.length]).toEqual([4, 3]);
  });
});

describeWith(["keylime-python", "root"], "Keylime's verifier with the policy of examples/", () => {
  const log = vector("event-log/ovmf-systemd.bin.gz");
  /** What seal would write for the machine, with its firmware. */
  const stateOf = (directory: string) => {
    const events = parseEventLog(log, "log");
    const digests = (pcr: number) =>
      extendingEvents(events, pcr).map((event) => ({ sha256: `0x${toHex(event.digests.sha256 ?? Buffer.of())}` }));
    writeFileSync(join(directory, "log"), log);
    const { scrtm_and_bios } = keylimeState(join(directory, "create"), join(directory, "log"));
    const registers = Object.fromEntries([4, 7, 11, 12].map((pcr) => [pcr, digests(pcr)]));
    return { has_secureboot: true, scrtm_and_bios, kernels: [{ uki: "uki.efi", profile: 0, events: registers }] };
  };

  it("accepts a log by one of the kernels, on a firmware that is known", () => {
    const directory = tempDir();
    const judge = (state: unknown): string => {
      writeFileSync(join(directory, "state.json"), JSON.stringify(state));
      return keylimeFailures(join(directory, "judge"), join(directory, "state.json"), log).join();
    };
    const state = stateOf(directory);
    const [kernel = { uki: "", profile: 0, events: {} }] = state.kernels;
    const other = { ...kernel, uki: "other.efi", events: { ...kernel.events, "4": [], "12": [] } };
    expect(judge(state)).toBe("");
    expect(judge({ ...state, kernels: [other, kernel] })).toBe("");
    expect(judge({ ...state, kernels: [other] })).toContain("differs from other.efi in PCR 4, 12");
    expect(judge({ ...state, kernels: [] })).toContain("has no kernels");
    const { scrtm_and_bios, ...anyFirmware } = state;
    expect(judge(anyFirmware)).toBe("");
    const blobs = JSON.stringify(scrtm_and_bios).replace(/0x./g, "0xf");
    expect(judge({ ...state, scrtm_and_bios: JSON.parse(blobs) })).toContain("is of another firmware");
    // Whoever writes the log can add an event to it, and one that is like another.
    const twice = { ...kernel.events, "4": [...(kernel.events["4"] ?? []), ...(kernel.events["4"] ?? []).slice(-1)] };
    expect(judge({ ...state, kernels: [{ ...kernel, events: twice }] })).toContain("differs from uki.efi in PCR 4");
  });
});
