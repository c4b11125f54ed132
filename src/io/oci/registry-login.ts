/**
 * Finds the login for a registry, and whether it is an insecure one, where skopeo finds it: for what skopeo
 * can't ask a registry.
 */
import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { isInsecure } from "../../oci/registries-conf.ts";
import { findLogin, type Login, parseHelperAnswer, parseLogins } from "../../oci/registry-auth.ts";
import { type Environment, findProgram, runProgram } from "../exec.ts";
import { isSystemError } from "../files.ts";
import type { SkopeoOptions } from "./skopeo.ts";

/**
 * The login for a repository.
 * @param repository with its registry
 * @returns null: there is none
 * @throws SealError `input` for a file with logins that is damaged
 */
export async function loginFor(repository: string, options: SkopeoOptions): Promise<Login | null> {
  for (const file of loginFiles(options)) {
    const bytes = await readFile(file).catch((error: unknown) => {
      // One that is named has been looked at by now; the others need not be there.
      if (isSystemError(error)) return null;
      throw error;
    });
    const place = bytes === null ? null : findLogin(parseLogins(bytes, file), repository);
    if (place?.kind === "here") return place.login;
    const login = place === null ? null : await askHelper(place.name, place.server, options);
    if (login !== null) return login;
  }
  return null;
}

/** The files of containers-auth.json(5), in its order. One that is named is the only one. */
function loginFiles({ env, cwd, access: { authfile } = {} }: SkopeoOptions): readonly string[] {
  const named = authfile ?? (env["REGISTRY_AUTH_FILE"] || undefined);
  if (named !== undefined) return [resolve(cwd, named)];
  const home = env["HOME"] ?? "";
  const runtime = env["XDG_RUNTIME_DIR"] ?? "";
  return [
    runtime === "" ? `/run/containers/${process.getuid?.() ?? 0}/auth.json` : join(runtime, "containers/auth.json"),
    join(env["XDG_CONFIG_HOME"] || join(home, ".config"), "containers/auth.json"),
    join(env["DOCKER_CONFIG"] || join(home, ".docker"), "config.json"),
  ];
}

/** A helper that knows no login fails; so does one that is not there, and then the registry says what it wants. */
async function askHelper(
  name: string,
  server: string,
  { env, cwd }: { readonly env: Environment; readonly cwd: string },
): Promise<Login | null> {
  const program = /^[\w.-]+$/.test(name) ? await findProgram(`docker-credential-${name}`, env, cwd) : null;
  if (program === null) return null;
  return runProgram(program, ["get"], { env, cwd, input: server, keepsOutput: true }).then(
    parseHelperAnswer,
    () => null,
  );
}

/** Whether a registry is asked without verified HTTPS: as the option says, else as this machine is configured. */
export async function withoutTls(repository: string, { env, cwd, access }: SkopeoOptions): Promise<boolean> {
  if (access?.tlsVerify !== undefined) return !access.tlsVerify;
  const named = env["CONTAINERS_REGISTRIES_CONF"] || undefined;
  const directories = ["/etc/containers", join(env["HOME"] ?? "", ".config/containers")];
  const paths: string[] = named === undefined ? [] : [resolve(cwd, named)];
  for (const directory of named === undefined ? directories : []) {
    const parts = await readdir(join(directory, "registries.conf.d")).catch(() => []);
    paths.push(
      join(directory, "registries.conf"),
      ...parts
        .filter((name) => name.endsWith(".conf"))
        .toSorted()
        .map((name) => join(directory, "registries.conf.d", name)),
    );
  }
  const texts = await Promise.all(paths.map((path) => readFile(path, "utf8").catch(() => "")));
  return isInsecure(texts, repository);
}
