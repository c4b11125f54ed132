/** What makes bootc releases refuse an image, besides its digest. */
import { ukiKernelVersion } from "../boot/efi-program.ts";
import type { ImageDefect } from "../boot/hosts.ts";
import { describeFault, kernelFault } from "../boot/kernel-faults.ts";
import { displayBytes } from "../bytes.ts";
import { concat } from "../chunks.ts";
import type { LayerForm } from "../oci/layer-form.ts";
import { findSection, type PeImage, sectionData } from "../pe/headers.ts";
import { someOf } from "../text.ts";
import type { Rootfs } from "../tree/rootfs.ts";
import { bootEntries } from "./boot-entries.ts";
import { nodeAt } from "./files.ts";

/** What is in the /boot of a tree besides UKIs. */
export function bootDefects(rootfs: Pick<Rootfs, "root">): readonly ImageDefect[] {
  const entries = bootEntries(rootfs);
  const [entry] = entries;
  const payloads = androidPayloads(rootfs);
  return [
    ...(entry === undefined
      ? []
      : [
          {
            id: "boot-entry",
            text: `it finds ${entry} before the UKI, and refuses images with such an entry`,
          } as const,
        ]),
    ...(payloads.length === 0
      ? []
      : [
          {
            id: "aboot",
            text: `it takes ${someOf(payloads)} for a boot payload, and refuses one next to a UKI`,
          } as const,
        ]),
  ];
}

/**
 * Images for Android's boot loaders (composefs-rs 0.9.3, crates/composefs-boot/src/bootloader.rs, `AbootEntry`): next
 * to a UKI each of them is an error, whatever is in it.
 */
function androidPayloads(rootfs: Pick<Rootfs, "root">): readonly string[] {
  const boot = nodeAt(rootfs, "boot");
  if (boot?.kind !== "directory") return [];
  const names = boot.entries.map(({ name }) => displayBytes(name));
  return names.filter((name) => /^(?:aboot|vbmeta)-.*\.img$/s.test(name)).map((name) => `boot/${name}`);
}

/** Layers that some readers can't unpack, see `LayerForm`. @param forms lowest first */
export function layerDefects(forms: readonly LayerForm[]): readonly ImageDefect[] {
  return forms.flatMap(({ compression, wrongType, isOnePart }, index) => {
    const name = `layer ${index + 1} of ${forms.length}`;
    const parts = compression === "zstd" ? "Zstandard frames" : "gzip members";
    const type = JSON.stringify(wrongType);
    const bytes = compression === "none" ? "not compressed" : `compressed with ${compression}`;
    const defects: ImageDefect[] = [];
    if (!isOnePart) {
      defects.push({ id: "layers", text: `${name} has several ${parts}, of which it unpacks only the first` });
    }
    if (wrongType !== null) {
      defects.push({ id: "media-type", text: `${name} has the media type ${type}, but is ${bytes}` });
    }
    return defects;
  });
}

/** What is wrong with a UKI, whatever is on its command line. */
export function ukiDefects(uki: PeImage): readonly ImageDefect[] {
  const defects: ImageDefect[] = [];
  const osrel = osrelDefect(uki);
  if (osrel !== null) defects.push({ id: "osrel", text: `it can't name the entry: ${osrel}` });
  const version = ukiKernelVersion(uki);
  const fault = version === null ? null : kernelFault(version);
  if (fault !== null) defects.push({ id: "kernel", text: `if kernel ${version} is patched: ${describeFault(fault)}` });
  return defects;
}

/**
 * Why bootc can't make a title from `.osrel`, which ends the installation (composefs-rs,
 * crates/composefs-boot/src/uki.rs, `get_boot_label`); null: nothing.
 */
function osrelDefect(uki: PeImage): string | null {
  const section = findSection(uki, ".osrel");
  if (section === null) return "the UKI has no .osrel";
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(concat(sectionData(uki, section)));
  } catch {
    return "the .osrel of the UKI is not UTF-8";
  }
  const fields = new Map<string, string>();
  for (const line of text.split("\n")) {
    const equals = line.indexOf("=");
    if (equals >= 0 && !line.trim().startsWith("#")) fields.set(line.slice(0, equals), line.slice(equals + 1));
  }
  const isNamed = ["PRETTY_NAME", "NAME", "ID"].some((name) => isClosed(fields.get(name)));
  return isNamed ? null : "the .osrel of the UKI has none of PRETTY_NAME, NAME and ID";
}

/** Whether all quotes of a value are closed: that parser does not accept it otherwise. */
function isClosed(value: string | undefined): boolean {
  if (value === undefined) return false;
  return /^(?:[^"']|'[^']*'|"(?:[^"\\]|\\.)*")*$/s.test(value.trim());
}
