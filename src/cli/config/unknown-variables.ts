/** Variables of the environment that look like options of seal, and are none. */
import { globalOptions } from "../global-options.ts";
import type { Declarations } from "../options/group.ts";
import { kebabCase, variableOf } from "../options/spelling.ts";

/**
 * Says of each variable `SEAL_…` that gives no option why it does not: a certificate in `SEAL_CRT` would be compared
 * with nothing. An empty one says nothing, as elsewhere.
 * @param declarations the options of each verb
 */
export function unknownVariables(
  declarations: readonly Declarations[],
  env: Readonly<Record<string, string | undefined>>,
): string[] {
  const options = declarations.flatMap((group) => Object.entries(group));
  const all = [...Object.entries(globalOptions.declarations), ...options];
  const known = new Set(all.filter(([, { env: taken }]) => taken).map(([key]) => variableOf(key)));
  // Those of every verb, such as --quiet, can't be in seal.toml either.
  const others = new Map(options.map(([key]) => [variableOf(key), kebabCase(key)]));
  return Object.keys(env)
    .filter((name) => name.startsWith("SEAL_") && env[name] !== "" && !known.has(name))
    .sort()
    .map((name) => {
      const option = others.get(name);
      if (option !== undefined)
        return `${name}: --${option} has no environment variable; give the option, or set ${option} in seal.toml`;
      return `${name}: unknown variable; known are: ${[...known].sort().join(", ")}`;
    });
}
