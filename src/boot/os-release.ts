/**
 * os-release(5): shell assignments, one per line, that identify the system. Read as systemd reads them: a line that is
 * not an assignment is skipped, whatever it holds.
 */

/** Values by name; of several assignments to a name the last counts. */
export type OsRelease = ReadonlyMap<string, string>;

/** Its paths in a tree. The one below /usr comes with the image, /etc may change on the machine. */
export const OS_RELEASE_PATHS = ["usr/lib/os-release", "etc/os-release"] as const;

/** Parses any bytes; what is not UTF-8 becomes U+FFFD. */
export function parseOsRelease(bytes: Uint8Array): OsRelease {
  const fields = new Map<string, string>();
  for (const line of new TextDecoder().decode(bytes).split(/\r?\n/)) {
    const assignment = /^\s*([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line);
    if (assignment === null) continue;
    const [, name = "", raw = ""] = assignment;
    const value = unquote(raw.trim());
    if (value !== null) fields.set(name, value);
  }
  return fields;
}

/** Removes a shell's quotes: none, single or double, in any sequence; null for a quote that is not closed. */
function unquote(raw: string): string | null {
  let value = "";
  let quote = "";
  for (let index = 0; index < raw.length; index++) {
    const char = raw.charAt(index);
    if (quote === "'") {
      if (char === "'") quote = "";
      else value += char;
    } else if (char === "\\") {
      const next = raw.charAt(++index);
      // Within double quotes a backslash is literal, except before these.
      value += quote === '"' && !'"\\$`'.includes(next) ? `\\${next}` : next;
    } else if (char === quote) {
      quote = "";
    } else if (quote === "" && (char === '"' || char === "'")) {
      quote = char;
    } else {
      value += char;
    }
  }
  return quote === "" ? value : null;
}

/** IMAGE_VERSION for an image, else VERSION_ID, which rolling distributions lack; null: neither. */
export function systemVersion(osRelease: OsRelease): string | null {
  return osRelease.get("IMAGE_VERSION") || osRelease.get("VERSION_ID") || null;
}

/**
 * What the boot menu calls the system: PRETTY_NAME, else IMAGE_ID, NAME or ID. systemd-boot does not show a UKI whose
 * os-release has none of them; then this is null.
 */
export function menuTitle(osRelease: OsRelease): string | null {
  const names = ["PRETTY_NAME", "IMAGE_ID", "NAME", "ID"].map((name) => osRelease.get(name) ?? "");
  return names.find((name) => name !== "") ?? null;
}
