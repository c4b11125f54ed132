/** An EFI program: the map of its sections, its command line word by word, what it says of itself, who signed it. */
import { findComposefsDigests, parseCmdline } from "../../boot/cmdline.ts";
import type { ProgramRole } from "../../lint/boot-programs.ts";
import type { PeReport } from "../inspect/pe-report.ts";
import { formatBytes } from "../terminal/report.ts";
import { areSigned, chainOfTrust } from "./chain-of-trust.ts";
import { type Html, html } from "./markup.ts";
import { code, facts, list, markOf, type Page, type Section, sign, table } from "./parts.ts";

const TYPES: Readonly<Record<PeReport["type"], string>> = {
  uki: "UKI",
  addon: "Addon",
  kernel: "Kernel",
  efi: "EFI program",
  pe: "PE file",
};

/** `seal inspect` of a PE file. */
export function inspectedProgram(report: PeReport): Page {
  const { type, file, signatures, composefs } = report;
  const { sections, ...rest } = programPage(report);
  if (type !== "uki") return { ...rest, sections };
  const ukis = [signedPart(file, signatures)];
  const body = chainOfTrust({ loaders: [], ukis, digests: composefs.digests, enforced: null });
  return { ...rest, sections: [{ title: "Chain of trust", body }, ...sections] };
}

/**
 * The programs of a /boot and what vouches for what.
 * @param subject what they are the /boot of
 * @param enforced whether the initramfs insists on fs-verity; null: not known
 */
export function bootPathPage(
  subject: string,
  programs: readonly { readonly role: ProgramRole; readonly report: PeReport }[],
  enforced: boolean | null,
): Page {
  const parts = (role: ProgramRole) =>
    programs.flatMap((one) => (one.role === role ? [signedPart(one.report.file, one.report.signatures)] : []));
  const digests = programs.flatMap(({ role, report }) => (role === "uki" ? report.composefs.digests : []));
  const ukis = parts("uki");
  return {
    subject,
    kind: "Boot path",
    verdict:
      digests.length === 0
        ? { mark: "bad", text: ukis.length === 0 ? "not sealed" : "no UKI names a composefs digest" }
        : areSigned(ukis)
          ? { mark: "good", text: `sealed, ${ukis.length === 1 ? "one UKI" : `${ukis.length} UKIs`}` }
          : { mark: "bad", text: "sealed, but a UKI has no valid signature" },
    sections: [{ title: "Chain of trust", body: chainOfTrust({ loaders: parts("loader"), ukis, digests, enforced }) }],
  };
}

/** What there is to say of a program, without what starts it. */
export function programPage(report: PeReport): Page {
  const { file, type, arch, kver, signatures } = report;
  const isWhole = signatures.length > 0 && signatures.every(({ intact }) => intact);
  return {
    subject: file,
    kind: TYPES[type],
    verdict: {
      mark: signatures.length === 0 ? "open" : markOf(isWhole),
      text:
        signatures.length === 0
          ? "not signed"
          : isWhole
            ? `signed by ${signatures.map(({ subject }) => subject).join(", ")}`
            : "a signature is not valid",
    },
    sections: [
      {
        title: "File",
        body: facts([
          ["Type", [type, ...(arch === null ? [] : [arch]), formatBytes(report.size)].join(" · ")],
          ...(kver === null ? [] : [["Kernel", kver] as const]),
          ["SHA-256", code(report.sha256)],
          [
            "Authenticode SHA-256",
            report.authenticode === null
              ? "none: the file has no place for a signature"
              : code(report.authenticode.sha256),
          ],
        ]),
      },
      { title: "Sections", body: sectionMap(report.sections) },
      ...(report.cmdline === null ? [] : [{ title: "Command line", body: cmdlineWords(report.cmdline) }]),
      ...(report.osRelease === null ? [] : [{ title: "os-release", body: facts(Object.entries(report.osRelease)) }]),
      ...(report.sbat === null
        ? []
        : [
            {
              title: "SBAT",
              body: table("SBAT", ["Component", "Generation", "Vendor", "Package", "Version", "URL"], report.sbat),
            },
          ]),
      ...initramfsSection(report),
      { title: "Signatures", body: signatureTable(signatures) },
    ],
  };
}

/** What the chain of trust says of a program with these signatures. */
export function signedPart(
  name: string,
  signatures: readonly Pick<PeReport["signatures"][number], "subject" | "intact" | "reason">[],
) {
  const bad = signatures.find(({ intact }) => !intact);
  return {
    name,
    signers: signatures.map(({ subject }) => subject || "an unknown signer"),
    problem: bad === undefined ? null : `signature not valid: ${bad.reason ?? "unreadable"}`,
  };
}

interface MappedSection {
  readonly name: string;
  readonly virtualAddress: number;
  readonly rawSize: number;
  readonly sha256: string;
}

/** A bar in which each section is as long as its part of the file, and the same in figures. */
export function sectionMap(sections: readonly MappedSection[]): Html {
  const total = sections.reduce((sum, { rawSize }) => sum + rawSize, 0);
  const share = (size: number) => (total === 0 ? 0 : (100 * size) / total).toFixed(2);
  const rows = sections.map(({ name, virtualAddress, rawSize, sha256 }) => [
    code(name),
    code(`0x${virtualAddress.toString(16).padStart(8, "0")}`),
    formatBytes(rawSize),
    html`<span class="meter" aria-hidden="true"><i style="width:${share(rawSize)}%"></i></span><span class="said">${share(rawSize)} %</span>`,
    code(sha256),
  ]);
  return html`<div class="map" aria-hidden="true">${sections.map(({ name, rawSize }) => html`<span style="flex-grow:${share(rawSize)}" title="${name} ${formatBytes(rawSize)}"></span>`)}</div>
${table("Sections", ["Section", "Address", "Size", "Share", "SHA-256"], rows)}`;
}

/** Who reads words that begin so. */
const READERS: readonly (readonly [pattern: RegExp, meaning: string])[] = [
  [/^console=/, "where the kernel writes its messages"],
  [/^ro$/, "the root filesystem is mounted for reading"],
  [/^rw$/, "the root filesystem is mounted for writing; what is sealed stays read-only"],
  [/^(?:quiet|loglevel=|debug$)/, "how much the kernel writes"],
  [/^root(?:flags|fstype)?=/, "the filesystem that holds the composefs repository"],
  [/^init=/, "the first program, in place of /sbin/init"],
  [/^rd\./, "for the initramfs"],
  [/^systemd[.-]/, "for systemd"],
  [/^(?:luks|rd\.luks)/, "for disk encryption"],
  [/^(?:enforcing|selinux|lsm|security)=/, "for the security modules of the kernel"],
];

/** Each word with what it is for. */
export function cmdlineWords(cmdline: string): Html {
  const { digests, malformed } = findComposefsDigests(cmdline);
  let next = 0;
  const rows = parseCmdline(cmdline).map(({ text, name }) => {
    if (name !== "composefs" && name !== "composefs.digest")
      return [code(text), READERS.find(([pattern]) => pattern.test(text))?.[1] ?? ""];
    const wrong = malformed.find((word) => word.text === text);
    if (wrong !== undefined) return [code(text), html`${sign("bad", "wrong")} ${wrong.reason}`];
    const digest = digests[next++];
    const form = [digest?.erofs === null ? null : `EROFS ${digest?.erofs?.toUpperCase()}`, digest?.algorithm]
      .filter((word) => word != null)
      .join(", ");
    return [
      code(text),
      digest?.insecure
        ? html`${sign("bad", "not required")} digest of the root filesystem (${form}) with ?: not enforced`
        : html`${sign("good", "required")} digest of the root filesystem (${form})`,
    ];
  });
  return rows.length === 0
    ? html`<p>It is empty.</p>`
    : table("Command line, word by word", ["Word", "What it is for"], rows);
}

function initramfsSection({ initramfs }: PeReport): Section[] {
  if (initramfs.length === 0) return [];
  const body = initramfs.map(({ archives, files, rootSetups, problem }) =>
    facts([
      ["Files", files],
      [
        "Archives",
        list(
          archives.map(({ compression, size, unpackedSize }) =>
            compression === "none"
              ? `not compressed, ${formatBytes(size)}`
              : `${compression}, ${formatBytes(size)}, unpacked ${formatBytes(unpackedSize)}`,
          ),
        ),
      ],
      [
        "Mounts the root",
        rootSetups.length === 0
          ? "nothing known to seal"
          : list(rootSetups.map(({ name, path }) => `${name}: ${path}`)),
      ],
      ...(problem === null ? [] : [["Problem", problem] as const]),
    ]),
  );
  return [{ title: "Initramfs", body: html`${body}` }];
}

function signatureTable(signatures: PeReport["signatures"]): Html {
  if (signatures.length === 0) return html`<p>There are none.</p>`;
  const rows = signatures.map(({ subject, issuer, key, notBefore, notAfter, intact, reason, notes }) => [
    subject || "an unknown signer",
    html`${sign(markOf(intact), intact ? "intact" : "not valid")} ${reason}`,
    issuer,
    key,
    notBefore === null ? "" : `${notBefore.slice(0, 10)} – ${notAfter?.slice(0, 10) ?? "?"}`,
    notes.length === 0 ? null : list(notes),
  ]);
  return table("Signatures", ["Signer", "Intact", "Issuer", "Key", "Valid", "Notes"], rows);
}
