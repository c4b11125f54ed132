/**
 * For every reason that a verdict can have, an image that trips it, in the lines of releases that it concerns,
 * and one that does not.
 */
import { describe, expect, it } from "vitest";
import { type HostVerdict, REASONS, type ReasonId, STEPS, type StepName } from "../../src/boot/hosts.ts";
import { SERIES } from "../../src/composefs/releases.ts";
import type { Series } from "../../src/composefs/series.ts";
import { LayerHistory } from "../../src/lint/layer-history.ts";
import type { LayerForm } from "../../src/oci/layer-form.ts";
import { cpioOf } from "../support/cpio.ts";
import { digestOf, lintContext, SPLIT, sealedTree, type UkiText } from "../support/lint.ts";
import type { MemoryFiles } from "../support/tree.ts";

const WRONG = "ab".repeat(64);
const V1 = await digestOf(SPLIT, "1.17.5");
const V2 = await digestOf(SPLIT, "1.16.3");
const LONG = `composefs.digest=v1-sha512-12:${V1}`;
/** What bootc 1.17 writes. */
const PAIR = `${LONG} composefs=${V2}`;

/** An initramfs that insists on fs-verity, and tries all words. */
const STRICT = setupRoot("/registry/src/x/composefs-0.9.4/src/mount.rs");
/** Of a bootc before 1.16.3, which goes by the first `composefs=` only and does not know the long form. */
const BOOTC_1_16_0 = bootcSetup("composefs=");
/** Of one that nothing tells the release of. */
const BOOTC_ANY = bootcSetup("composefs.digest");

function bootcSetup(strings: string): Uint8Array {
  return cpioOf({
    "usr/lib/bootc/initramfs-setup": `\x7fELF ${strings} `,
    init: "#!/bin/sh\n/usr/lib/bootc/initramfs-setup\n",
  });
}

function setupRoot(sources: string): Uint8Array {
  return cpioOf({
    "usr/bin/composefs-setup-root": `\x7fELF composefs.digest ${sources}`,
    init: "#!/bin/sh\n/usr/bin/composefs-setup-root\n",
  });
}

/**
 * An image: what is on the command line and else in its UKI, what is in its tree besides, how its layers are stored.
 */
interface Image extends UkiText {
  readonly tree?: MemoryFiles;
  readonly layer?: Partial<LayerForm>;
}

/** Accepted and installed by most, and booted with fs-verity. */
const SOUND: Image = { cmdline: `composefs=${V1}`, initrd: STRICT };

async function verdictsOn({ tree = {}, layer = {}, ...uki }: Image): Promise<readonly HostVerdict[]> {
  const form: LayerForm = { compression: "gzip", wrongType: null, isOnePart: true, ...layer };
  const image = {
    config: {
      os: "linux",
      architecture: "amd64",
      variant: undefined,
      rootfs: { type: "layers" as const, diff_ids: [] },
    },
    layers: [{ digest: null, size: 1, form }],
    history: new LayerHistory(),
    steps: [],
    created: null,
    records: [],
    mounted: null,
  };
  const { cmdline = null } = uki;
  const found = await lintContext(await sealedTree({ ...uki, cmdline }, tree), { image }).hosts();
  return found[0]?.verdicts ?? [];
}

type StepOk = boolean | null;

interface Case {
  readonly step: StepName;
  readonly ok: StepOk | ((one: Series) => StepOk);
  readonly trips: Image;
  /** The lines that it concerns. */
  readonly concerns: (one: Series) => boolean;
  /** What does not trip it where that is not {@link SOUND}. */
  readonly spares?: Image;
  /** The lines that this one is for; without: all. */
  readonly spared?: (one: Series) => boolean;
}

const every = () => true;
const isOld = ({ erofs }: Series) => erofs === "v2";
const readsAll = ({ reads }: Series) => reads === "all";
const symlink: MemoryFiles = { "usr/long": { link: "x".repeat(1025) } };

const CASES: Readonly<Record<ReasonId, readonly Case[]>> = {
  digest: [
    {
      step: "accepts",
      ok: false,
      trips: { ...SOUND, cmdline: `composefs=${WRONG}` },
      concerns: every,
      spared: (one) => !isOld(one),
    },
    {
      step: "accepts",
      ok: false,
      trips: SOUND,
      concerns: isOld,
      spares: { ...SOUND, cmdline: `composefs=${V2}` },
      spared: isOld,
    },
  ],
  unfound: [
    {
      step: "accepts",
      ok: false,
      trips: { ...SOUND, cmdline: `${LONG} composefs=${WRONG}` },
      concerns: readsAll,
      spares: { ...SOUND, cmdline: PAIR },
    },
    // The long form binds the format.
    {
      step: "accepts",
      ok: false,
      trips: { ...SOUND, cmdline: `composefs=${V1} composefs.digest=v1-sha512-12:${V2}` },
      concerns: readsAll,
      spares: { ...SOUND, cmdline: `composefs=${V1} composefs.digest=v2-sha512-12:${V2}` },
    },
  ],
  order: [
    {
      step: "accepts",
      ok: false,
      trips: { ...SOUND, cmdline: `composefs=${V2} composefs=${V1}` },
      concerns: (one) => !isOld(one) && !readsAll(one),
      spares: { ...SOUND, cmdline: `composefs=${V1} composefs=${V2}` },
      spared: (one) => !isOld(one),
    },
    {
      step: "accepts",
      ok: false,
      trips: { ...SOUND, cmdline: PAIR },
      concerns: ({ name }) => name === "1.16.3",
      spares: { ...SOUND, cmdline: `composefs=${V2}` },
    },
  ],
  "no-digest": [{ step: "accepts", ok: false, trips: { ...SOUND, cmdline: "rw" }, concerns: every }],
  malformed: [
    { step: "accepts", ok: false, trips: { ...SOUND, cmdline: "composefs=xyz" }, concerns: every },
    { step: "accepts", ok: false, trips: { ...SOUND, cmdline: `composefs=${"4".repeat(64)}` }, concerns: every },
    {
      step: "accepts",
      ok: false,
      trips: { ...SOUND, cmdline: `composefs=${V1} composefs.digest=v3-sha512-12:${V1}` },
      concerns: ({ reads }) => reads !== "composefs",
    },
  ],
  duplicate: [
    {
      step: "accepts",
      ok: false,
      trips: { ...SOUND, cmdline: `composefs=${V1} composefs=${V2}` },
      concerns: readsAll,
      spares: { ...SOUND, cmdline: PAIR },
    },
  ],
  "mixed-marks": [
    {
      step: "accepts",
      ok: false,
      trips: { ...SOUND, cmdline: `${LONG} composefs=?${V2}` },
      concerns: readsAll,
      spares: { ...SOUND, cmdline: PAIR },
    },
  ],
  tree: [
    {
      step: "accepts",
      ok: false,
      trips: { ...SOUND, tree: symlink },
      concerns: ({ rules }) => rules.symlinkMax !== null,
      spares: { ...SOUND, tree: { "usr/long": { link: "x".repeat(1024) } } },
    },
  ],
  layers: [
    {
      step: "accepts",
      ok: false,
      trips: { ...SOUND, layer: { compression: "zstd", isOnePart: false } },
      concerns: ({ layers }) => layers === "first",
    },
    {
      step: "accepts",
      ok: false,
      trips: { ...SOUND, layer: { compression: "gzip", isOnePart: false } },
      concerns: ({ layers }) => layers === "first",
    },
  ],
  "media-type": [
    {
      step: "accepts",
      ok: false,
      trips: { ...SOUND, layer: { wrongType: "application/vnd.oci.image.layer.v1.tar" } },
      concerns: every,
    },
  ],
  aboot: [
    {
      step: "accepts",
      ok: false,
      trips: { ...SOUND, tree: { "boot/aboot-6.12.1.img": "ANDROID!" } },
      concerns: ({ aboot }) => aboot,
      spares: { ...SOUND, tree: { "boot/aboot.img": "", "boot/aboot-6.txt": "" } },
    },
    {
      step: "accepts",
      ok: false,
      trips: { ...SOUND, tree: { "boot/vbmeta-6.12.1.img": "" } },
      concerns: ({ aboot }) => aboot,
      spares: { ...SOUND, tree: { "boot/x/vbmeta-6.img": "" } },
    },
  ],
  osrel: [
    { step: "installs", ok: false, trips: { ...SOUND, osrel: null }, concerns: every },
    {
      step: "installs",
      ok: false,
      trips: { ...SOUND, osrel: "IMAGE_ID=x\nIMAGE_VERSION=1\n" },
      concerns: every,
      spares: { ...SOUND, osrel: "ID=x\n" },
    },
    {
      step: "installs",
      ok: false,
      trips: { ...SOUND, osrel: 'NAME="open\n' },
      concerns: every,
      spares: { ...SOUND, osrel: "NAME='x y'\n" },
    },
    { step: "installs", ok: false, trips: { ...SOUND, osrel: "#ID=x\n" }, concerns: every },
    {
      step: "installs",
      ok: false,
      trips: { ...SOUND, osrel: Buffer.from('PRETTY_NAME="Caf\xe9"\n', "latin1") },
      concerns: every,
      spares: { ...SOUND, osrel: 'PRETTY_NAME="Café"\n' },
    },
  ],
  "boot-entry": [
    {
      step: "installs",
      ok: false,
      trips: { ...SOUND, tree: { "boot/loader/entries/x.conf": "title x\n" } },
      concerns: every,
      spares: { ...SOUND, tree: { "boot/loader/entries/x.txt": "title x\n" } },
    },
  ],
  kernel: [
    {
      step: "boots",
      ok: null,
      trips: { ...SOUND, uname: "7.0.3" },
      concerns: every,
      spares: { ...SOUND, uname: "7.0.7" },
    },
  ],
  initramfs: [
    // The disk of 1.16 has one image; that of 1.17 has both, but bootc looks for the deployment of the first.
    {
      step: "boots",
      ok: (one) => (readsAll(one) ? null : false),
      trips: { ...SOUND, cmdline: PAIR, initrd: BOOTC_1_16_0 },
      concerns: (one) => !isOld(one),
      spares: { ...SOUND, cmdline: PAIR },
    },
    {
      step: "boots",
      ok: null,
      trips: { ...SOUND, cmdline: PAIR, initrd: BOOTC_ANY },
      concerns: (one) => !readsAll(one) && one.name !== "1.16.3",
    },
  ],
  "no-mount": [
    { step: "boots", ok: false, trips: { ...SOUND, initrd: cpioOf({ init: "#!/bin/sh\n" }) }, concerns: every },
  ],
  verity: [
    {
      step: "enforces",
      ok: false,
      trips: { ...SOUND, initrd: setupRoot("/registry/src/x/composefs-0.9.0/src/mount.rs") },
      concerns: every,
    },
    { step: "enforces", ok: null, trips: { ...SOUND, initrd: setupRoot("") }, concerns: every },
  ],
  insecure: [
    { step: "enforces", ok: false, trips: { ...SOUND, cmdline: `composefs=?${V1}` }, concerns: every },
    {
      step: "installs",
      ok: null,
      trips: { ...SOUND, cmdline: `composefs=?${V1}` },
      concerns: ({ mark }) => mark === "binding",
    },
  ],
  status: [
    {
      step: "installs",
      ok: true,
      trips: { ...SOUND, cmdline: LONG },
      concerns: ({ status }) => status === "composefs",
    },
  ],
};

describe.each(REASONS)("the reason %s", (id) => {
  const ids = (verdict: HostVerdict | undefined, step: StepName) => verdict?.[step].reasons.map((reason) => reason.id);

  it.each(CASES[id].map((one, index) => [index + 1, one] as const))(
    "is there where it must be, and nowhere else: %i",
    async (_, one) => {
      const { step, ok, trips, concerns, spares = SOUND, spared = every } = one;
      const [tripped, sound] = await Promise.all([verdictsOn(trips), verdictsOn(spares)]);
      for (const [index, series] of SERIES.entries()) {
        const has = ids(tripped[index], step)?.includes(id);
        expect(has, `${series.name}: ${JSON.stringify(tripped[index]?.[step])}`).toBe(concerns(series));
        if (has === true)
          expect(tripped[index]?.[step].ok, series.name).toBe(typeof ok === "function" ? ok(series) : ok);
        if (spared(series)) expect(ids(sound[index], step), series.name).not.toContain(id);
      }
      expect(SERIES.some(concerns)).toBe(true);
    },
  );
});

describe.each(SERIES.map((series) => [series.name, series] as const))("a host with bootc %s", (line, series) => {
  const of = (verdicts: readonly HostVerdict[]) => verdicts.find((one) => one.series === series);

  it("accepts, installs and boots what is sealed for it", async () => {
    const verdict = of(
      await verdictsOn({ ...SOUND, cmdline: `composefs=${await digestOf(SPLIT, series.releases[0])}` }),
    );
    expect(
      STEPS.map((step) => verdict?.[step].ok),
      line,
    ).toEqual([true, true, true, true]);
    expect(verdict?.kind).toBe("accepts");
  });

  it("refuses what is sealed for nobody", async () => {
    expect(of(await verdictsOn({ ...SOUND, cmdline: `composefs=${WRONG}` }))).toMatchObject({
      kind: "refuses",
      refusal: { id: "digest" },
    });
  });
});
