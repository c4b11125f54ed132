/**
 * Random images with random words on the command line: what seal says of bootc releases beside what the code does that
 * those releases have, cfsctl 0.9.0 and 0.9.4. `prepare-boot` compares the word that 1.16 goes by with what was pulled,
 * and `--expected-digest` looks for each word as 1.17 does.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { HostReport } from "../../src/boot/hosts-text.ts";
import { lintReportSchema } from "../../src/cli/lint/schema.ts";
import { arbitraryLayers, BASE_LAYER } from "../support/arbitrary-layers.ts";
import { campaign } from "../support/campaign.ts";
import { seal } from "../support/cli.ts";
import { type StoredLayer, writeLayout } from "../support/layout.ts";
import { makeUki, UKI_PATH } from "../support/lint.ts";
import { describeWith, type Peer, runPeer } from "../support/peers.ts";
import { tarArchive, tarDirectory, tarFile, tarPax } from "../support/tar.ts";

const TAR = "application/vnd.oci.image.layer.v1.tar";

/** How layers are stored: their bytes and what they are called. */
const FORMS = {
  gzip: (tar: Uint8Array): StoredLayer => [gzipSync(tar, { level: 1 }), `${TAR}+gzip`],
  zstd: (tar: Uint8Array): StoredLayer => [zstdCompressSync(tar), `${TAR}+zstd`],
  plain: (tar: Uint8Array): StoredLayer => [tar, TAR],
  members: (tar: Uint8Array): StoredLayer => [inParts(tar, gzipSync), `${TAR}+gzip`],
  frames: (tar: Uint8Array): StoredLayer => [inParts(tar, zstdCompressSync), `${TAR}+zstd`],
  skippable: (tar: Uint8Array): StoredLayer => [Buffer.concat([zstdCompressSync(tar), SKIPPABLE]), `${TAR}+zstd`],
  "gzip called plain": (tar: Uint8Array): StoredLayer => [gzipSync(tar), TAR],
  "plain called gzip": (tar: Uint8Array): StoredLayer => [tar, `${TAR}+gzip`],
  "plain called Docker's": (tar: Uint8Array): StoredLayer => [tar, "application/vnd.docker.image.rootfs.diff.tar.gzip"],
  "zstd called gzip": (tar: Uint8Array): StoredLayer => [zstdCompressSync(tar), `${TAR}+gzip`],
} satisfies Record<string, (tar: Uint8Array) => StoredLayer>;
type Form = keyof typeof FORMS;
const FORM_NAMES = Object.keys(FORMS).filter((name): name is Form => Object.hasOwn(FORMS, name));

const SKIPPABLE = Buffer.from("502a4d180400000001020304", "hex");

/** Cut in the middle of an entry, as chunked layers are. */
function inParts(tar: Uint8Array, compress: (part: Uint8Array) => Buffer): Buffer {
  const middle = Math.floor(tar.length / 1024) * 512;
  return Buffer.concat([compress(tar.subarray(0, middle)), compress(tar.subarray(middle))]);
}

/** What a digest on the command line is the one of; null: of nothing. */
interface Origin {
  readonly bootc: string;
  readonly erofs: "v1" | "v2";
  readonly xattrs: "allowlist" | "keep-user";
}
const origin = fc.record<Origin>({
  bootc: fc.constantFrom("1.15.2", "1.16.3", "1.16.11", "1.16.11", "1.17.5", "1.17.5"),
  erofs: fc.constantFrom("v1", "v1", "v2"),
  xattrs: fc.constantFrom("allowlist", "allowlist", "allowlist", "keep-user"),
});
interface Word {
  readonly form: "short" | "v1" | "v2";
  readonly of: Origin | null;
}
/** The long form names the format of its digest, or another one. */
const word = fc
  .record({
    form: fc.constantFrom<Word["form"] | "own">("short", "own", "own", "v1", "v2"),
    of: fc.option(origin, { freq: 12, nil: null }),
  })
  .map(({ form, of }): Word => ({ form: form === "own" ? (of?.erofs ?? "v1") : form, of }));
/** Upstream's pair, its old forms, and anything else with one short word at most: cfsctl knows nothing of the rest. */
const words = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.constantFrom<readonly Word[]>(
      [
        { form: "v1", of: { bootc: "1.17.5", erofs: "v1", xattrs: "allowlist" } },
        { form: "short", of: { bootc: "1.17.5", erofs: "v2", xattrs: "allowlist" } },
      ],
      [{ form: "short", of: { bootc: "1.16.11", erofs: "v1", xattrs: "allowlist" } }],
      [{ form: "short", of: { bootc: "1.16.3", erofs: "v2", xattrs: "allowlist" } }],
    ),
  },
  fc
    .array(word, { minLength: 1, maxLength: 3 })
    .filter((list) => list.filter(({ form }) => form === "short").length < 2),
);

/** What a directory of the boot transform takes its metadata from. */
const usr = fc.record({
  mtime: fc.constantFrom("1700000000", "1700000000.123456789"),
  "SCHILY.xattr.user.x": fc.constantFrom("1", ""),
  "SCHILY.xattr.security.foo": fc.constantFrom("1", ""),
});

const images = fc.record({
  layers: arbitraryLayers,
  usr: fc.option(usr, { nil: null }),
  // Most layers can be unpacked, or nothing is ever compared.
  form: fc.oneof(
    { arbitrary: fc.constantFrom<Form>("gzip", "zstd", "plain"), weight: 2 },
    fc.constantFrom<Form>(...FORM_NAMES),
  ),
  words,
  mark: fc.constantFrom("", "", "?"),
  boot: fc.constantFrom(...Array<string>(8).fill(""), "aboot-6.1.img", "vbmeta-6.1.img", "aboot-6.1.txt"),
});
type Image = Parameters<Parameters<typeof images.map>[0]>[0];

/** A host with a new disk, whose repository makes V1 images as bootc 1.16.4 and newer do. */
class Disk {
  private readonly place: string;
  readonly pull: { readonly status: number; readonly stderr: string };
  private readonly peer: Peer;
  private readonly layout: string;

  constructor(peer: Peer, directory: string, layout: string) {
    this.peer = peer;
    this.layout = layout;
    this.place = mkdtempSync(join(directory, "disk-"));
    mkdirSync(join(this.place, "boot"));
    expect(this.cfsctl("init", "--erofs-version", "1").status).toBe(0);
    this.pull = this.cfsctl("oci", "pull", `oci:${layout}:latest`, "image");
  }

  private cfsctl(...args: readonly string[]) {
    const repository = ["--repo", join(this.place, "repository"), "--insecure"];
    const { status, stdout, stderr } = runPeer(this.peer, [...repository, ...args], { env: { RUST_BACKTRACE: "0" } });
    return { status, stdout: stdout.toString(), stderr };
  }

  /** What it makes of the UKI: it may be installed, its digest is another one, or something else is wrong. */
  install(): "installed" | "digest" | "refused" {
    const { status, stderr } = this.cfsctl("oci", "prepare-boot", "--bootdir", join(this.place, "boot"), "image");
    return status === 0 ? "installed" : /wrong composefs digest/.test(stderr) ? "digest" : "refused";
  }

  /** The format of the image that a digest is of; null: it finds none. */
  find(digest: string): string | null {
    const args = ["oci", "pull", "--bootable", "--expected-digest", digest, `oci:${this.layout}:latest`, "image"];
    const { status, stdout, stderr } = this.cfsctl(...args);
    if (status !== 0) expect(stderr).toContain("No boot image configuration matched");
    return status === 0 ? (/format-version=(V\d)/.exec(stdout)?.[1]?.toLowerCase() ?? "?") : null;
  }
}

/** A digest of nothing. */
const NOTHING = "5".repeat(128);

/** The text of the words, and what each wants to find. */
async function makeWords(layout: string, { words: list, mark }: Image) {
  const texts: { text: string; digest: string; erofs: string | null }[] = [];
  for (const { form, of } of list) {
    let digest = NOTHING;
    if (of !== null) {
      const options = ["--bootc", of.bootc, "--erofs", of.erofs, "--xattrs", of.xattrs, "--mtime", "exact"];
      // Layers that can't be read have none.
      const { stdout } = await seal(["compute-digest", `oci:${layout}`, ...options]);
      if (stdout !== "") digest = stdout.trim();
    }
    const text =
      form === "short" ? `composefs=${mark}${digest}` : `composefs.digest=${mark}${form}-sha512-12:${digest}`;
    texts.push({ text, digest, erofs: form === "short" ? null : form });
  }
  return texts;
}

function bootLayer(cmdline: string, { boot }: Image): Buffer {
  return tarArchive(
    ...["boot/EFI/", "boot/EFI/Linux/"].map((name) => tarDirectory(name)),
    tarFile(UKI_PATH, makeUki({ cmdline })),
    ...(boot === "" ? [] : [tarFile(`boot/${boot}`, Buffer.from("payload"))]),
  );
}

describeWith(["cfsctl", "cfsctl-0.9.0"], "verdicts on random images", () => {
  const { parameters, count, counted, report, timeout } = campaign(32);

  /** The verdict of each line; null: seal can't read the image at all. */
  async function verdictsOn(layout: string): Promise<((release: string) => HostReport) | null> {
    const { code, stdout } = await seal(["lint", `oci:${layout}`, "--json"]);
    if (code > 1) return null;
    const verdicts = lintReportSchema.parse(JSON.parse(stdout)).hosts[0]?.verdicts ?? [];
    return (release) => {
      const found = verdicts.find(({ releases }) => releases.split("–")[0] === release);
      if (found === undefined) throw new Error(`no verdict of ${release}`);
      return found;
    };
  }

  it(
    "accept what cfsctl pulls, finds and installs, and nothing else",
    async () => {
      await fc.assert(
        fc.asyncProperty(images, async (image) => {
          const directory = mkdtempSync(join(tmpdir(), "seal-verdicts-"));
          try {
            const layout = join(directory, "layout");
            const above =
              image.usr === null ? [] : [tarArchive(Buffer.concat([tarPax(image.usr), tarDirectory("usr")]))];
            const layers = [BASE_LAYER, ...image.layers, ...above];
            writeLayout(layout, layers, { compression: FORMS.plain });
            const found = await makeWords(layout, image);
            const cmdline = found.map(({ text }) => text).join(" ");
            const all = [...layers, bootLayer(cmdline, image)];
            rmSync(layout, { recursive: true });
            writeLayout(layout, all, { compression: FORMS[image.form] });
            const old = new Disk("cfsctl-0.9.0", directory, layout);
            const current = new Disk("cfsctl", directory, layout);
            const verdict = await verdictsOn(layout);
            if (verdict === null) {
              expect([old.pull.status, current.pull.status], "both pull it").not.toContain(0);
              return count("tried", "refused as a whole");
            }
            count("tried");
            compare(image, found, { old, current }, verdict);
          } finally {
            rmSync(directory, { recursive: true, force: true });
          }
        }),
        parameters,
      );
      report("images with two cfsctl");
      for (const release of ["1.16.11", "1.17.5"]) {
        expect(counted(`accepted by ${release}`)).toBeGreaterThan(0);
        expect(counted(`refused by ${release}`)).toBeGreaterThan(0);
      }
    },
    timeout,
  );

  function compare(
    image: Image,
    wanted: readonly { digest: string; erofs: string | null }[],
    { old, current }: { readonly old: Disk; readonly current: Disk },
    verdict: (release: string) => HostReport,
  ): void {
    const check = (release: string, isSo: boolean) => {
      const { accepts } = verdict(release);
      expect(accepts.ok, `${release}: ${accepts.reasons.join("; ")}`).toBe(isSo);
      count(`${isSo ? "accepted" : "refused"} by ${release}`);
    };
    const findsAll = (disk: Disk) =>
      wanted.every(({ digest, erofs }) => {
        const format = disk.find(digest);
        return format !== null && (erofs === null || erofs === format);
      });
    const isPulled = { old: old.pull.status === 0, current: current.pull.status === 0 };
    const installed = {
      old: isPulled.old ? old.install() : "refused",
      current: isPulled.current ? current.install() : "refused",
    };
    check("1.16.11", installed.old === "installed");
    // Those with the same code but for what it unpacks.
    if (isPulled.old) check("1.17.0", findsAll(old));
    // Beside a UKI a payload for Android is in the way, whatever the digest.
    const isPayload = /^(aboot|vbmeta)-.*\.img$/.test(image.boot);
    if (isPulled.current) expect(installed.current === "refused", image.boot).toBe(isPayload);
    const findsCurrent = isPulled.current && !isPayload && findsAll(current);
    for (const release of ["1.17.3", "1.17.5"]) check(release, findsCurrent);
  }
});
