/**
 * Boot entries of type #1 (UAPI Group Specification "Boot Loader Specification"; `loader/entries/*.conf`): what a boot
 * loader starts with each, and what it passes along that no signature covers.
 */

/** Paths are as they are written, most of them from the root of the partition. */
export interface LoaderEntry {
  /** What is started as a program: kernels, UKIs, others. */
  readonly programs: readonly string[];
  readonly initrds: readonly string[];
  readonly devicetrees: readonly string[];
  /** Whether it passes a command line to the program; a UKI ignores it if Secure Boot is on. */
  readonly hasOptions: boolean;
}

const LINE = /^([a-z][a-z-]*)[\t ]+(\S.*)$/;

export function parseLoaderEntry(text: string): LoaderEntry {
  const values = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [, key = "", value = ""] = LINE.exec(line.trim()) ?? [];
    if (key !== "") values.set(key, [...(values.get(key) ?? []), value]);
  }
  const all = (...keys: readonly string[]) => keys.flatMap((key) => values.get(key) ?? []);
  return {
    programs: all("linux", "efi", "uki"),
    initrds: all("initrd"),
    devicetrees: all("devicetree", "devicetree-overlay"),
    hasOptions: values.has("options") && all("linux", "efi").length > 0,
  };
}
