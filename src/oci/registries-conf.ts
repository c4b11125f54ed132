/** What containers-registries.conf(5) says of a registry, as far as it matters for a request of one's own. */
import { parse } from "smol-toml";
import { z } from "zod";

const schema = z.object({
  registry: z
    .array(
      z.object({ prefix: z.string().optional(), location: z.string().optional(), insecure: z.boolean().optional() }),
    )
    .optional(),
});

/**
 * Whether a repository may have any certificate, or plain HTTP: the entry with the longest prefix decides.
 * @param files their texts; of entries with the same prefix the last one counts. Anything else is ignored: skopeo
 *   has refused it by then
 * @param repository with its registry: `127.0.0.1:5000/me/os`
 */
export function isInsecure(files: readonly string[], repository: string): boolean {
  const host = repository.split("/", 1)[0] ?? "";
  const found = files
    .flatMap(entriesOf)
    .map(({ prefix, location, insecure = false }) => ({ prefix: prefix || location || "", insecure }))
    .filter(({ prefix }) =>
      prefix.startsWith("*.") ? host.endsWith(prefix.slice(1)) : `${repository}/`.startsWith(`${prefix}/`),
    );
  return found.reduce((best, one) => (one.prefix.length >= best.prefix.length ? one : best), NONE).insecure;
}

const NONE = { prefix: "", insecure: false };

function entriesOf(text: string): NonNullable<z.infer<typeof schema>["registry"]> {
  try {
    return schema.parse(parse(text)).registry ?? [];
  } catch {
    return [];
  }
}
