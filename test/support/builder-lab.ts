/**
 * Containerfiles of sealed images, built again and again by real builders: what they need, and the ways to
 * seal that are tried.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openStoredImage } from "../../src/io/oci/image.ts";
import { isImage, parseRootfsSource } from "../../src/io/rootfs-source.ts";
import { type ImageBuilder, osImage, writeArchive } from "./builders.ts";
import { type CliResult, seal } from "./cli.ts";
import { containerTools, removeStore } from "./containers.ts";

const project = fileURLToPath(new URL("../..", import.meta.url));

/** A directory with keys and with the images that builds start from. */
export interface BuilderLab {
  readonly directory: string;
  /** Puts the images into a builder's store. */
  readonly stock: (builder: ImageBuilder) => void;
  readonly seal: (...args: readonly string[]) => Promise<CliResult>;
  readonly close: () => void;
}

/** The program as the tools image has it, below a directory that doesn't exist yet. */
export function writeProgram(root: string): void {
  const bundle = spawnSync(process.execPath, [join(project, "scripts/bundle.ts"), join(root, "usr/lib/seal")]);
  if (bundle.status !== 0) throw new Error(bundle.stderr.toString());
  mkdirSync(join(root, "usr/bin"), { recursive: true });
  symlinkSync("../lib/seal/seal", join(root, "usr/bin/seal"));
}

export async function makeBuilderLab(): Promise<BuilderLab> {
  const directory = mkdtempSync(join(tmpdir(), "seal-builders-"));
  const at = (name: string) => join(directory, name);
  const { skopeo } = containerTools(directory);
  writeProgram(at("tools"));
  const tar = ["--owner=0", "--group=0", "--numeric-owner", "--mtime=@1700000000", "-cf", "-", "usr"];
  const tools = spawnSync("tar", ["-C", at("tools"), ...tar], { maxBuffer: 1 << 30 }).stdout;
  const os = osImage();
  writeArchive(at("os.tar"), "localhost/base:latest", [os], skopeo);
  writeArchive(at("seal.tar"), "localhost/seal:latest", [os, tools], skopeo);
  await seal(["keys", "generate", "--output", "keys"], { cwd: directory });
  return {
    directory,
    stock: (builder) => {
      builder.load(at("os.tar"), "localhost/base:latest");
      builder.load(at("seal.tar"), "localhost/seal:latest");
    },
    seal: (...args) => seal(args, { cwd: directory }),
    close: () => removeStore(directory),
  };
}

/**
 * The system, in steps of which one takes a file from outside; and one that makes a file go again, as
 * package managers do.
 */
const ROOTFS = `FROM localhost/base AS rootfs
COPY app.conf /etc/app.conf
ARG EDITION=1
RUN : "$EDITION" && mkdir -p /usr/odd/kept && echo one >/usr/odd/kept/one && ln /usr/odd/kept/one /usr/odd/linked
RUN : "$EDITION" && touch /etc/.tmp && rm /etc/.tmp && touch /usr/lib/systemd
`;
const SPLIT = `FROM rootfs AS split
RUN rm /usr/lib/modules/*/vmlinuz /usr/lib/modules/*/initramfs.img
`;
const FLAT = `FROM scratch AS flat
COPY --from=split / /
`;
const SECRETS = "--mount=type=secret,id=key --mount=type=secret,id=cert";
const SIGNED = "--key /run/secrets/key --cert /run/secrets/cert";
const FINAL = "LABEL containers.bootc=sealed\n";

/** The sealing stage in the tools image: its parents are those of another image. */
const inTools = (stage: string, before = "") => `FROM localhost/seal AS seal
${before}RUN --mount=type=bind,from=${stage},source=/,target=/target --mount=type=bind,from=rootfs,source=/usr/lib/modules,target=/kernel ${SECRETS} \\
    seal rootfs /target --kernel-dir /kernel ${SIGNED} --output /out
FROM ${stage}
COPY --from=seal /out/boot /boot
${FINAL}`;

/** The sealing stage on top of what is sealed. */
const onTop = (stage: string) => `FROM ${stage} AS seal
RUN --mount=type=bind,from=${stage},source=/,target=/target --mount=type=bind,from=rootfs,source=/usr/lib/modules,target=/kernel \\
    --mount=type=bind,from=localhost/seal,source=/usr/lib/seal,target=/run/seal ${SECRETS} \\
    /run/seal/seal rootfs /target --kernel-dir /kernel ${SIGNED} --output /out
FROM ${stage}
COPY --from=seal /out/boot /boot
${FINAL}`;

/** Ways to seal what a builder builds. */
export const WAYS = {
  /** `seal image` of what was built. */
  "two commands": ROOTFS,
  "in the tools image": ROOTFS + SPLIT + inTools("split"),
  "in the tools image, flat": ROOTFS + SPLIT + FLAT + inTools("flat"),
  "in the tools image, with a value": ROOTFS + SPLIT + inTools("split", "ARG SEALING\n"),
  "in the tools image, flat, with a value": ROOTFS + SPLIT + FLAT + inTools("flat", "ARG SEALING\n"),
  "on top of the tree": ROOTFS + SPLIT + onTop("split"),
  "on top of the tree, flat": ROOTFS + SPLIT + FLAT + onTop("flat"),
} as const;
export type Way = keyof typeof WAYS;

/** What happened since the last build. */
export const CHANGES = ["first", "nothing", "times", "contents"] as const;
/**
 * `forced`: the stages before the sealing are built again, though nothing changed, as where a part
 * of the cache is gone.
 */
export type Change = (typeof CHANGES)[number] | "forced";

export interface Built {
  /** For `seal lint` and others. */
  readonly image: string;
  /** The same as an OCI layout; null: it is an archive as Docker has them. */
  readonly layout: string | null;
  readonly layers: number;
  /** What the builder and the sealing step printed. */
  readonly log: string;
  /** In milliseconds: of the builder, and of the command that seals, which is 0 where it is a step. */
  readonly took: { readonly build: number; readonly sealing: number };
}

function parseImage(text: string) {
  const source = parseRootfsSource(text);
  if (!isImage(source)) throw new Error(`${text}: no image`);
  return source;
}

/** A project that is built after one change or another. */
export class BuiltProject {
  readonly #lab: BuilderLab;
  readonly #builder: ImageBuilder;
  readonly #way: Way;
  readonly #context: string;
  #edition = 1;
  #content = 1;
  #builds = 0;

  constructor(lab: BuilderLab, builder: ImageBuilder, way: Way) {
    this.#lab = lab;
    this.#builder = builder;
    this.#way = way;
    this.#context = mkdtempSync(join(lab.directory, "context-"));
    writeFileSync(join(this.#context, "Containerfile"), WAYS[way]);
  }

  /** @param args more of the builder's */
  async build(change: Change, ...args: readonly string[]): Promise<Built> {
    const { directory } = this.#lab;
    if (change === "times") this.#edition++;
    if (change === "contents") this.#content++;
    writeFileSync(join(this.#context, "app.conf"), "x".repeat(this.#content));
    // Another tag each time: containerd may remove what an older one named while the next image is unpacked on it.
    const reference = `localhost/${this.#way.replace(/[^a-z]+/g, "-")}:${++this.#builds}`;
    // No other project has these steps in the builder's cache, with times of its own.
    const edition = `${basename(this.#context)}.${this.#edition}`;
    const given = [`EDITION=${edition}`, `SEALING=${process.hrtime.bigint()}`].flatMap((value) => [
      "--build-arg",
      value,
    ]);
    const secrets = ["key,src=keys/db.key", "cert,src=keys/db.crt"].flatMap((one) => [
      "--secret",
      `id=${one.replace("keys", join(directory, "keys"))}`,
    ]);
    const start = performance.now();
    const log = this.#builder.build(
      this.#context,
      reference,
      "--file",
      join(this.#context, "Containerfile"),
      ...given,
      ...secrets,
      ...args,
    );
    const build = performance.now() - start;
    const archive = join(this.#context, `${this.#builds}.tar`);
    this.#builder.save(reference, archive);
    if (this.#way !== "two commands") {
      const image = `docker-archive:${archive}`;
      return { image, layout: null, layers: await this.#layers(image), log, took: { build, sealing: 0 } };
    }
    const layout = `${archive}.sealed`;
    const image = `oci:${layout}`;
    const from = performance.now();
    const sealing = await this.#lab.seal(
      "image",
      "--from",
      `docker-archive:${archive}`,
      "--to",
      image,
      "--key",
      "keys/db.key",
      "--cert",
      "keys/db.crt",
    );
    if (sealing.code !== 0) throw new Error(sealing.stderr);
    const took = { build, sealing: performance.now() - from };
    rmSync(archive);
    return { image, layout, layers: await this.#layers(image), log: log + sealing.stderr, took };
  }

  async #layers(image: string): Promise<number> {
    const { layers } = await openStoredImage(parseImage(image), { cwd: this.#lab.directory });
    return layers.length;
  }
}
