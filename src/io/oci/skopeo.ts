/** skopeo, which copies images from and to registries and stores, and its options. */
import { access, constants, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { inputError, SealError } from "../../errors.ts";
import { displayCommand, type Environment, findProgram, runProgram } from "../exec.ts";
import { reasonOf } from "../files.ts";

/** How to access registries; what is left out comes from this machine's configuration. */
export interface RegistryAccess {
  /** File with logins, as `skopeo login --authfile` writes it. */
  readonly authfile?: string | undefined;
  /** False: any certificate will do, and plain HTTP. */
  readonly tlsVerify?: boolean | undefined;
}

/** How skopeo is run. */
export interface SkopeoOptions {
  /**
   * Where `PATH`, `TMPDIR` and skopeo's own variables are looked up: `REGISTRY_AUTH_FILE`, `CONTAINERS_STORAGE_CONF`…
   */
  readonly env: Environment;
  /** Where relative paths start. */
  readonly cwd: string;
  readonly access?: RegistryAccess | undefined;
}

/** One copy between an OCI layout and a registry or store. */
export interface SkopeoCopy {
  /** The registry's or store's end, as skopeo takes it. */
  readonly reference: string;
  /** Whether that is what is copied, or where it goes. */
  readonly end: "src" | "dest";
  /** Absolute path of the layout at the other end. */
  readonly layout: string;
  /** Options of skopeo itself. */
  readonly global: readonly string[];
  /** Options of its `copy`. */
  readonly options: readonly string[];
}

/** Characters of what skopeo says: a chain of reasons, the last one counts most. */
const REASON_LIMIT = 400;

/**
 * Copies an image.
 * @throws SealError `external` when skopeo fails, one line with its reason; as {@link checkSkopeo} does
 */
export async function copyBySkopeo(copy: SkopeoCopy, options: SkopeoOptions): Promise<void> {
  const { reference, end, layout } = copy;
  const { env, cwd } = options;
  const skopeo = await checkSkopeo(copy, options);
  const explain = (stderr: string) => {
    const reason = withWayOut(lastMessage(stderr), reference);
    if (end === "src") return `${reference}: skopeo can't copy it: ${reason}`;
    return `${reference}: skopeo can't copy the image there: ${reason}`;
  };
  const ends = end === "src" ? [reference, `oci:${layout}`] : [`oci:${layout}`, reference];
  const args = [...copy.options, ...accessOptions(reference, `${end}-`, options), ...ends];
  await runProgram(skopeo, [...configured(env), ...copy.global, "copy", "--quiet", ...args], { env, cwd, explain });
}

/**
 * The manifest or index that a name means, byte for byte.
 * @throws SealError as {@link copyBySkopeo} does
 */
export async function manifestBySkopeo(reference: string, options: SkopeoOptions): Promise<Uint8Array> {
  const { env, cwd } = options;
  const skopeo = await checkSkopeo({ reference, end: "src" }, options);
  const explain = (stderr: string) =>
    `${reference}: skopeo can't read it: ${withWayOut(lastMessage(stderr), reference)}`;
  const args = ["inspect", "--raw", ...accessOptions(reference, "", options), reference];
  return runProgram(skopeo, [...configured(env), ...args], { env, cwd, explain, keepsOutput: true });
}

/** podman and buildah use this variable by themselves. */
function configured(env: Environment): string[] {
  const registries = env["CONTAINERS_REGISTRIES_CONF"] ?? "";
  return registries === "" ? [] : ["--registries-conf", registries];
}

/**
 * What can be known to fail before there is anything to copy.
 * @returns the program
 * @throws SealError `external` when skopeo is missing; `input` for a file with logins that can't be read
 */
export async function checkSkopeo(
  { reference, end }: Pick<SkopeoCopy, "reference" | "end">,
  { env, cwd, access: { authfile } = {} }: SkopeoOptions,
): Promise<string> {
  const skopeo = await findProgram("skopeo", env, cwd);
  if (skopeo === null) {
    const otherwise = end === "src" ? "copy the image and give oci:PATH" : "give oci:PATH and copy that elsewhere";
    throw new SealError(
      "external",
      `${reference}: needs skopeo, which is not installed. Install the package skopeo (Debian, Ubuntu, Fedora, CentOS, Arch), or ${otherwise}`,
    );
  }
  if (isRegistry(reference)) await checkAuthfile(authfile, env, cwd);
  return skopeo;
}

/** @param prefix of options that skopeo has for each end: `src-`, `dest-` */
function accessOptions(
  reference: string,
  prefix: string,
  { env, cwd, access: { authfile, tlsVerify } = {} }: SkopeoOptions,
): string[] {
  const isDaemon = reference.startsWith("docker-daemon:");
  const host = env["DOCKER_HOST"] ?? "";
  return [
    ...(isRegistry(reference) && authfile !== undefined ? ["--authfile", resolve(cwd, authfile)] : []),
    ...((isRegistry(reference) || isDaemon) && tlsVerify !== undefined ? [`--${prefix}tls-verify=${tlsVerify}`] : []),
    // docker itself uses this variable, skopeo only its own option.
    ...(isDaemon && host !== "" ? [`--${prefix}daemon-host`, host] : []),
  ];
}

function isRegistry(reference: string): boolean {
  return reference.startsWith("docker:");
}

/** skopeo continues without a login if the file is missing, and what the registry says then does not help. */
async function checkAuthfile(authfile: string | undefined, env: Environment, cwd: string): Promise<void> {
  const file = authfile ?? (env["REGISTRY_AUTH_FILE"] || undefined);
  if (file === undefined) return;
  const subject = `${authfile === undefined ? "REGISTRY_AUTH_FILE" : "--authfile"} ${file}`;
  const path = resolve(cwd, file);
  const stats = await stat(path).catch((error: unknown) => {
    throw inputError(subject, `can't be read: ${reasonOf(error)}; skopeo login --authfile FILE HOST writes one`, error);
  });
  if (!stats.isFile()) throw inputError(subject, "is not a file; skopeo login --authfile FILE HOST writes one");
  await access(path, constants.R_OK).catch((error: unknown) => {
    throw inputError(subject, `can't be read: ${reasonOf(error)}`, error);
  });
}

/** What skopeo logs last: `time="…" level=fatal msg="…"`, without the frame. */
function lastMessage(stderr: string): string {
  const line = stderr.trim().split("\n").at(-1) ?? "";
  const quoted = /\bmsg="((?:[^"\\]|\\.)*)"/.exec(line)?.[1];
  return quoted?.replace(/\\(.)/g, (_, char: string) => (char === "n" || char === "t" ? " " : char)) ?? line;
}

const LOGIN = "skopeo login HOST logs in; --authfile names a credentials file";
const INSECURE = "If that is intended, give --tls-verify=false";
/** What helps when skopeo says such a thing. */
const WAYS_OUT: readonly (readonly [RegExp, string])[] = [
  [/unauthorized|authentication required|invalid username\/password|status: 401/i, LOGIN],
  [/denied|forbidden|status: 403/i, `You are not logged in there, or not allowed to do that: ${LOGIN}`],
  [/server gave HTTP response to HTTPS client|x509:|tls: /i, INSECURE],
];

/** A reason, and what helps where that is known. */
export function withWayOut(reason: string, reference: string): string {
  const short = displayCommand(reason, REASON_LIMIT);
  // Its end of a pipe breaks before skopeo knows why, and that is all it says.
  if (reference.startsWith("docker-daemon:") && /cannot connect|closed pipe|permission denied/i.test(reason)) {
    return "docker's daemon does not answer: is it running, and are you allowed to use it? DOCKER_HOST says where it listens";
  }
  const wayOut = WAYS_OUT.find(([pattern]) => pattern.test(reason))?.[1];
  return wayOut === undefined ? short : `${short}. ${wayOut}`;
}
