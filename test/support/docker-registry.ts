/**
 * Real registries on the loopback interface: Debian's package `docker-registry`, with logins, with TLS, or open to all;
 * and one with the referrers API.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { findPeer } from "./peers.ts";
import { until } from "./wait.ts";

/** Made with `crypt(3)`, `$2y$05$`: the registry takes bcrypt only. */
const LOGIN = {
  name: "tester",
  password: "s3cret",
  line: "tester:$2y$05$abcdefghijklmnopqrstuuLK7U1u6pVRmL7L1BBM2aS35PSZnDXlK\n",
};

export interface RealRegistry {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** File with the login that it knows, and one with a wrong password. */
  readonly authfile: string;
  readonly wrongAuthfile: string;
}

export interface RegistryOptions {
  readonly login?: boolean;
  /** Paths of PEM files, below `/tmp`. */
  readonly tls?: { readonly certificate: string; readonly key: string };
}

/** Runs until the test ends. @param directory gets its files; below `/tmp` */
export async function startRegistry(
  directory: string,
  { login = false, tls }: RegistryOptions = {},
): Promise<RealRegistry> {
  mkdirSync(directory);
  const at = (name: string, text: string) => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  const host = `127.0.0.1:${await freePort()}`;
  const auths = (password: string) =>
    JSON.stringify({ auths: { [host]: { auth: Buffer.from(`${LOGIN.name}:${password}`).toString("base64") } } });
  // JSON is YAML.
  const config = at(
    "config.yml",
    JSON.stringify({
      version: "0.1",
      log: { level: "info" },
      storage: { filesystem: { rootdirectory: join(directory, "data") } },
      http: { addr: host, secret: "test", ...(tls === undefined ? {} : { tls }) },
      ...(login ? { auth: { htpasswd: { realm: "test", path: at("htpasswd", LOGIN.line) } } } : {}),
    }),
  );
  const log = join(directory, "log");
  const output = openSync(log, "w");
  const registry = spawn(findPeer("docker-registry") ?? "", ["serve", config], {
    cwd: directory,
    stdio: ["ignore", output, output],
  });
  closeSync(output);
  onTestFinished(() => end(registry));
  const isUp = await until("the registry listens", () => readFileSync(log, "utf8").includes("listening on"), registry);
  if (!isUp) throw new Error(`docker-registry ends: ${readFileSync(log, "utf8")}`);
  return { host, authfile: at("auth.json", auths(LOGIN.password)), wrongAuthfile: at("wrong.json", auths("wrong")) };
}

/**
 * A registry with the referrers API, open to all and in memory, until the test ends.
 * @param directory gets its log; below `/tmp`
 * @returns `127.0.0.1:PORT`
 */
export async function startReferrersRegistry(directory: string): Promise<string> {
  mkdirSync(directory);
  const log = join(directory, "log");
  const output = openSync(log, "w");
  const registry = spawn(findPeer("referrers-registry") ?? "", { stdio: ["ignore", output, output] });
  closeSync(output);
  onTestFinished(() => end(registry));
  const host = () => /listening on (\S+)\.\n/.exec(readFileSync(log, "utf8"))?.[1];
  await until("the registry listens", () => host() !== undefined, registry);
  return host() ?? fail(`referrers-registry ends: ${readFileSync(log, "utf8")}`);
}

function fail(message: string): never {
  throw new Error(message);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === "string") throw new Error("no port is free");
  return address.port;
}

async function end(registry: ChildProcess): Promise<void> {
  const ended = new Promise((done) => registry.once("exit", done));
  if (registry.exitCode === null && registry.kill()) await ended;
}
