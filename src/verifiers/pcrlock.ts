/**
 * Components of systemd-pcrlock (systemd.pcrlock(5), systemd-pcrlock(8)): each file has the measurements of one
 * component of the boot, each file of `NAME.pcrlock.d` those of one variant of it. Records are a part of the TCG's
 * CEL-JSON. The files are, byte for byte, what `systemd-pcrlock lock-secureboot-policy`, `lock-secureboot-authority`,
 * `lock-pe` and `lock-uki` of systemd 257 to 262 write.
 *
 * What firmware and systemd measure on their own (separators, actions, phases) is in the components that systemd ships.
 * PCR 12 has none: systemd-pcrlock keeps it out of its policies, because the policies themselves are measured there.
 */
import { toHex } from "../bytes.ts";
import { PCR_BANKS, type PcrBank, type PcrEvent } from "../pe/pcr-events.ts";
import type { WayReference } from "../sign/boot-reference.ts";
import {
  applicationsOf,
  digestIn,
  distinctVariants,
  eventsOf,
  programName,
  type VerifierReference,
  wayName,
} from "./format.ts";

interface CelRecord {
  readonly pcr: number;
  readonly digests: readonly { readonly hashAlg: PcrBank; readonly digest: string }[];
}

/** Its records are looked for in the event log after those of components with smaller numbers. */
interface Component {
  /** As systemd.pcrlock(5) has it, for components that are well known. */
  readonly name: string;
  /** What the variant of a way to boot is called. */
  readonly variant: (way: WayReference) => string;
  readonly records: (way: WayReference) => readonly CelRecord[];
}

/** The name that systemd-pcrlock gives to the variant of the machine it runs on. */
const GENERATED = "generated";
/**
 * A variant without records, for ways to boot without the component, and the prefix of the others' names then.
 * systemd-pcrlock takes the first that fits, which a variant without records always does: it has to be last. systemd
 * names its own in this way.
 */
const ABSENT = "600-absent";
const PRESENT = "300-";

/**
 * The components for all of these ways to boot, as stored below `/var/lib/pcrlock.d`.
 * @param ways with references in all of {@link PCR_BANKS}
 * @param tpmBanks the banks of the machine's TPM: its event log, which `lock-secureboot-authority` reads, has no others
 */
export function pcrlockComponents(ways: readonly WayReference[], tpmBanks: readonly PcrBank[]): VerifierReference {
  const files = components(ways, tpmBanks).flatMap(({ name, variant, records }) => {
    const all = ways.map((way) => ({ way, records: records(way) }));
    const present = all.filter((one) => one.records.length > 0);
    if (present.length === 0) return [];
    const before = present.length < all.length ? PRESENT : "";
    const variants = distinctVariants(
      all.map((one) => ({
        name: one.records.length === 0 ? ABSENT : `${before}${variant(one.way)}`,
        text: `${JSON.stringify({ records: one.records })}\n`,
      })),
    );
    return variants.map((one) => ({ name: `${name}.pcrlock.d/${one.name}.pcrlock`, text: one.text }));
  });
  return { output: { kind: "files", files }, omitted: [] };
}

function components(ways: readonly WayReference[], tpmBanks: readonly PcrBank[]): Component[] {
  // systemd-pcrlock puts each digest of the log in front of those before it.
  const logged = PCR_BANKS.filter((bank) => tpmBanks.includes(bank)).toReversed();
  const authorities = (way: WayReference) => celRecords(7, ofType(way, "EV_EFI_VARIABLE_AUTHORITY"), logged);
  const differ = new Set(ways.map((way) => JSON.stringify(authorities(way)))).size > 1;
  const byWay = (way: WayReference) => wayName(way, ways);
  return [
    {
      name: "240-secureboot-policy",
      variant: () => GENERATED,
      records: (way) => celRecords(7, ofType(way, "EV_EFI_VARIABLE_DRIVER_CONFIG")),
    },
    { name: "620-secureboot-authority", variant: (way) => (differ ? byWay(way) : GENERATED), records: authorities },
    {
      name: "640-boot-loader",
      variant: ({ bootPath }) => programName(bootPath.bootLoader?.pe.subject ?? ""),
      records: (way) => celRecords(4, applicationsOf(way).bootLoader),
    },
    {
      name: "650-uki",
      variant: byWay,
      records: (way) => [...celRecords(4, applicationsOf(way).uki), ...celRecords(11, eventsOf(way, 11) ?? [])],
    },
    { name: "660-addons", variant: byWay, records: (way) => celRecords(4, applicationsOf(way).addons) },
    { name: "670-kernel", variant: byWay, records: (way) => celRecords(4, applicationsOf(way).kernel) },
  ];
}

function ofType(way: WayReference, wanted: PcrEvent["type"]): PcrEvent[] {
  return (eventsOf(way, 7) ?? []).filter(({ type }) => type === wanted);
}

function celRecords(pcr: number, events: readonly PcrEvent[], banks: readonly PcrBank[] = PCR_BANKS): CelRecord[] {
  return events.map(({ digests }) => ({
    pcr,
    digests: banks.map((hashAlg) => ({ hashAlg, digest: toHex(digestIn(digests, hashAlg)) })),
  }));
}
