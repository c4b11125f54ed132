/** Images that are not on this disk, or not as an image: in a registry, in the store of podman and buildah. skopeo copies them here. */
import { rmSync } from "node:fs";
import { access, readdir, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SealError } from "../../errors.ts";
import { formatPlatform, type Platform } from "../../oci/platform.ts";
import { displayCommand, findProgram, runProgram } from "../exec.ts";
import { makeTemporaryDirectory } from "../temporary.ts";
import { undoOnSignal } from "../undo.ts";

/** Gets what has been copied of one image, in bytes. */
export interface CopyProgress {
  /** @param share of all bytes, from 0 to 1, where it is known */
  readonly onBytes: (bytes: number, share?: number) => void;
  readonly done: (bytes: number) => void;
}

export interface RemoteOptions {
  /** Where `PATH`, `TMPDIR` and what skopeo itself heeds are looked up: `REGISTRY_AUTH_FILE`, `CONTAINERS_STORAGE_CONF`… */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** Images are large, and `/tmp` is often in memory; container tools put theirs here too. */
const LARGE_TEMPORARY = "/var/tmp";
/** How often the copy is looked at. */
const PROGRESS_MS = 200;
/** Characters of what skopeo says: a chain of reasons, the last one counts most. */
const REASON_LIMIT = 400;

/** Which image of several, see {@link RemoteImages.layout}. */
type Wanted = Platform | null | "all";

/** Copies of images for one run of the program, each made once. */
export class RemoteImages {
  readonly #options: RemoteOptions;
  readonly #start: (label: string) => CopyProgress | null;
  readonly #layouts = new Map<string, Promise<string>>();
  readonly #removals: (() => void)[] = [];

  /** @param start called with the reference when a copy begins */
  constructor(options: RemoteOptions, start: (label: string) => CopyProgress | null = () => null) {
    this.#options = options;
    this.#start = start;
  }

  /**
   * An OCI image layout with nothing but the wanted image: its blobs as they are, those of a store uncompressed. It is there until {@link close}.
   * @param reference `docker://…` or `containers-storage:…`, as skopeo takes it
   * @param platform which image of several; null: the one for this machine; `all`: all of them, and their index
   * @returns its absolute path
   * @throws SealError `external` when skopeo is missing or fails
   */
  layout(reference: string, platform: Wanted): Promise<string> {
    const key = `${platform === null || platform === "all" ? platform : formatPlatform(platform)} ${reference}`;
    const layout = this.#layouts.get(key) ?? this.#copy(reference, platform);
    this.#layouts.set(key, layout);
    return layout;
  }

  /** Removes all copies. */
  close(): void {
    this.#layouts.clear();
    for (const remove of this.#removals.splice(0)) remove();
  }

  async #copy(reference: string, platform: Wanted): Promise<string> {
    const { env, cwd } = this.#options;
    const skopeo = await findProgram("skopeo", env, cwd);
    if (skopeo === null) {
      throw new SealError(
        "external",
        `${reference}: needs skopeo, which is not installed. Install the package skopeo (Debian, Ubuntu, Fedora, CentOS, Arch), or copy the image and give oci:PATH`,
      );
    }
    const layout = join(await this.#directory(), "image");
    const progress = this.#start(reference);
    let copying = true;
    const report = async () => {
      const bytes = await bytesIn(layout);
      if (copying) progress?.onBytes(bytes);
    };
    const timer = progress === null ? undefined : setInterval(report, PROGRESS_MS);
    try {
      const explain = (stderr: string) => `${reference}: skopeo can't copy it: ${lastMessage(stderr)}`;
      const registries = env["CONTAINERS_REGISTRIES_CONF"] ?? "";
      // podman and buildah heed this variable by themselves.
      const configured = registries === "" ? [] : ["--registries-conf", registries];
      await runProgram(skopeo, [...configured, ...copyArguments(reference, platform, layout)], { env, cwd, explain });
    } finally {
      copying = false;
      clearInterval(timer);
    }
    progress?.done(await bytesIn(layout));
    return layout;
  }

  async #directory(): Promise<string> {
    const { env } = this.#options;
    const usual = await access(LARGE_TEMPORARY).then(
      () => LARGE_TEMPORARY,
      () => tmpdir(),
    );
    const directory = await makeTemporaryDirectory(env["TMPDIR"] || usual);
    const remove = () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
    const release = undoOnSignal(remove);
    this.#removals.push(() => {
      release();
      remove();
    });
    return directory;
  }
}

function copyArguments(reference: string, platform: Wanted, layout: string): string[] {
  const overrides =
    platform === null || platform === "all"
      ? []
      : [
          ...["--override-os", platform.os, "--override-arch", platform.architecture],
          ...(platform.variant === undefined ? [] : ["--override-variant", platform.variant]),
        ];
  return [
    ...overrides,
    "copy",
    "--quiet",
    ...(platform === "all" ? ["--multi-arch", "all"] : []),
    // A store has layers unpacked; compressing them only to unpack them again takes longer than all the rest.
    "--dest-oci-accept-uncompressed-layers",
    // A layout has no place for signatures. What the policy of this machine demands has been checked by then.
    "--remove-signatures",
    reference,
    `oci:${layout}`,
  ];
}

/** What skopeo logs last: `time="…" level=fatal msg="…"`, without the frame. */
function lastMessage(stderr: string): string {
  const line = stderr.trim().split("\n").at(-1) ?? "";
  const quoted = /\bmsg="((?:[^"\\]|\\.)*)"/.exec(line)?.[1];
  const text = quoted?.replace(/\\(.)/g, (_, char: string) => (char === "n" || char === "t" ? " " : char)) ?? line;
  return displayCommand(text, REASON_LIMIT);
}

/** Bytes of all files below a directory that is being written. */
async function bytesIn(directory: string): Promise<number> {
  let sum = 0;
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => [])) {
    const stats = await stat(join(entry.parentPath, entry.name)).catch(() => null);
    if (stats?.isFile()) sum += stats.size;
  }
  return sum;
}
