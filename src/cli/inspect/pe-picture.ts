/** The picture of a PE file for people. Everything that comes from the file is escaped before it reaches a terminal. */
import type { ChalkInstance } from "chalk";
import { parseCmdline } from "../../boot/cmdline.ts";
import { menuTitle } from "../../boot/os-release.ts";
import { escapeControls } from "../../bytes.ts";
import { formatBytes, narrower, renderTable } from "../terminal/report.ts";
import type { InitramfsReport } from "./initramfs-report.ts";
import type { PeReport, SectionReport, SignatureReport } from "./pe-report.ts";

const BAR_WIDTH = 24;
const TYPES: Readonly<Record<PeReport["type"], string>> = {
  uki: "Unified Kernel Image",
  addon: "UKI addon",
  kernel: "Linux kernel",
  efi: "EFI program",
  pe: "PE file, not an EFI program",
};

/** All lines, without a final newline. @param columns width of the terminal; null: there is none */
export function drawPe(report: PeReport, paint: ChalkInstance, columns: number | null): string {
  const room = narrower(columns, 2);
  const blocks = [
    head(report, paint),
    titled("sections", drawSections(report.sections), paint),
    report.cmdline === null ? [] : titled("command line", drawCmdline(report, paint), paint),
    report.osRelease === null ? [] : titled("os-release", table(Object.entries(report.osRelease), room), paint),
    report.sbat === null ? [] : titled("sbat", table(report.sbat, room), paint),
    report.profiles.length === 0 ? [] : titled("profiles", drawProfiles(report.profiles, room), paint),
    titled(
      "initramfs",
      report.initramfs.flatMap((initramfs) => drawInitramfs(initramfs, room)),
      paint,
    ),
    titled("signatures", drawSignatures(report.signatures, paint, room), paint),
  ];
  return blocks
    .filter((block) => block.length > 0)
    .map((block) => block.join("\n"))
    .join("\n\n");
}

function head(report: PeReport, paint: ChalkInstance): string[] {
  const arch = report.arch ?? `machine ${report.machine}`;
  const kernel = report.kver === null ? [] : [`kernel ${safe(report.kver)}`];
  const name = report.osRelease === null ? null : menuTitle(new Map(Object.entries(report.osRelease)));
  const title = [TYPES[report.type], arch, formatBytes(report.size), ...kernel, ...(name === null ? [] : [safe(name)])];
  return [
    `${paint.bold(safe(report.file))}  ${title.join(" · ")}`,
    `sha256        ${report.sha256}`,
    ...drawHashes(report.authenticode),
    ...(report.checksum.matches === false
      ? [`checksum      ${report.checksum.stored}  ${paint.yellow("wrong; ignored by firmware and signatures")}`]
      : []),
  ];
}

/** Two where it depends on who hashes. */
function drawHashes(hashes: PeReport["authenticode"]): string[] {
  if (hashes === null) return ["authenticode  none: the file has no place for a signature"];
  const { sha256, unpaddedSha256 } = hashes;
  if (sha256 === unpaddedSha256) return [`authenticode  ${sha256}`];
  return [
    `authenticode  ${sha256}  what a signature covers: zero-padded to a multiple of 8`,
    `              ${unpaddedSha256}  what firmware computes for this unsigned file`,
  ];
}

function titled(title: string, lines: readonly string[], paint: ChalkInstance): string[] {
  return lines.length === 0 ? [] : [paint.bold(title), ...lines.map((line) => `  ${line}`)];
}

function drawSections(sections: readonly SectionReport[]): string[] {
  const total = sections.reduce((sum, section) => sum + section.rawSize, 0);
  const sizes = sections.map((section) => formatBytes(section.size));
  const width = Math.max(...sizes.map((size) => size.length));
  const rows = sections.map((section, index) => [
    safe(section.name),
    `0x${section.virtualAddress.toString(16).padStart(8, "0")}`,
    (sizes[index] ?? "").padStart(width),
    bar(total === 0 ? 0 : section.rawSize / total),
  ]);
  return renderTable(rows, null).split("\n");
}

/** A share of one as blocks; anything above nothing is seen. */
function bar(share: number): string {
  const eighths = Math.max(Math.round(share * BAR_WIDTH * 8), share > 0 ? 1 : 0);
  const rest = " ▏▎▍▌▋▊▉".charAt(eighths % 8).trim();
  return "█".repeat(Math.floor(eighths / 8)) + rest;
}

function drawCmdline(report: PeReport, paint: ChalkInstance): string[] {
  const { digests, malformed } = report.composefs;
  return parseCmdline(report.cmdline ?? "").map(({ text, name }) => {
    const digest = digests.find((candidate) => name === candidate.form && text.endsWith(candidate.digest));
    const broken = malformed.find((candidate) => candidate.text === text);
    if (broken !== undefined) return `${safe(text)}  ${paint.red(`malformed: ${broken.reason}`)}`;
    if (digest === undefined) return safe(text);
    const format = [digest.algorithm, ...(digest.erofs === null ? [] : [`EROFS ${digest.erofs}`])].join(", ");
    const insecure = digest.insecure ? `  ${paint.yellow("insecure: also boots without fs-verity")}` : "";
    return `${safe(text)}  ${paint.dim(`root filesystem, ${format}`)}${insecure}`;
  });
}

function drawProfiles(profiles: PeReport["profiles"], columns: number | null): string[] {
  return table(
    profiles.map(({ id, title, sections }, index) => [String(index), id ?? "-", title ?? "-", sections.join(" ")]),
    columns,
  );
}

/** Its archives one a line, then what mounts the root. */
function drawInitramfs({ archives, files, rootSetups, problem }: InitramfsReport, columns: number | null): string[] {
  const rows = archives.map(({ compression, offset, size, unpackedSize, entries }) => [
    `0x${offset.toString(16).padStart(8, "0")}`,
    compression === "none" ? "cpio" : `cpio, ${compression}`,
    formatBytes(size),
    compression === "none" ? "" : `${formatBytes(unpackedSize)} unpacked`,
    `${entries} entries`,
  ]);
  const setups = rootSetups.map(({ name, path }) => `${name} (${path})`);
  if (problem !== null) return [...table(rows, columns), safe(problem)];
  return [
    ...table(rows, columns),
    `${files} files; ${setups.length === 0 ? "nothing that mounts a composefs root" : safe(`the composefs root is mounted by ${setups.join(", ")}`)}`,
  ];
}

function drawSignatures(
  signatures: readonly SignatureReport[],
  paint: ChalkInstance,
  columns: number | null,
): string[] {
  if (signatures.length === 0) return ["none"];
  return signatures.flatMap((signature, index) => {
    const state = signature.intact
      ? paint.green("intact")
      : paint.red(`not valid: ${safe(signature.reason ?? "unreadable")}`);
    const day = (time: string | null) => time?.slice(0, 10) ?? "?";
    const rows = [
      ["issuer", signature.issuer],
      ["validity", `${day(signature.notBefore)} to ${day(signature.notAfter)}`],
      ["key", signature.key],
      ["hash", `${signature.digestAlgorithm} ${signature.digest ?? ""}`.trim()],
      ...(signature.signingTime === null ? [] : [["signed", signature.signingTime]]),
      ...signature.notes.map((note) => ["note", note]),
    ];
    return [
      `${index + 1}  ${safe(signature.subject || "unknown signer")}  ${state}`,
      ...(signature.subject === "" ? [] : table(rows, narrower(columns, 3)).map((line) => `   ${line}`)),
    ];
  });
}

function table(rows: readonly (readonly string[])[], columns: number | null): string[] {
  const escaped = rows.map((row) => row.map(safe));
  return rows.length === 0 ? [] : renderTable(escaped, columns).split("\n");
}

/** Text from a file without control characters. */
function safe(text: string): string {
  return escapeControls(text);
}
