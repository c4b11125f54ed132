/** `seal rootfs` and `seal image`: what was sealed, with what, and who takes it. */
import type { ImageSummary } from "../sealing/image-report.ts";
import type { SealReport } from "../sealing/report.ts";
import { formatBytes, formatCount } from "../terminal/report.ts";
import { chainOfTrust } from "./chain-of-trust.ts";
import { hostsTable, hostsText, isTaken } from "./hosts.ts";
import { type Html, html } from "./markup.ts";
import { code, facts, list, markOf, type Page, type Section, sign, table } from "./parts.ts";
import { cmdlineWords, sectionMap } from "./program.ts";

/** @param report `image` where an image was sealed */
export function sealedPage(report: SealReport & { readonly image?: ImageSummary }): Page {
  const { hosts, tree, warnings, image } = report;
  const taken = hosts?.some(isTaken) ?? null;
  return {
    subject: image === undefined ? report.rootfs : image.to,
    kind: image === undefined ? "Sealed" : `Sealed ${image.platform}`,
    verdict: {
      mark: markOf(taken),
      text: [
        report.title ?? report.rootfs,
        hosts === null ? "which hosts accept it is unknown" : hostsText(hosts),
      ].join(" · "),
    },
    sections: [
      { title: "Chain of trust", body: chainOf(report) },
      {
        title: "What was sealed",
        body: facts([
          ["Root filesystem", report.rootfs],
          ...(tree === null
            ? []
            : [
                [
                  "Holds",
                  `${formatCount(tree.files)} files, ${formatCount(tree.directories)} directories, ${formatBytes(tree.bytesHashed)}`,
                ] as const,
              ]),
          ["Kernel", `${report.kver} (${report.arch})`],
          ...report.digests.map(
            ({ erofs, algorithm, digest }) =>
              [`Digest ${[erofs, algorithm].filter((word) => word !== null).join(" ")}`, code(digest)] as const,
          ),
          ["Signer", report.signer === null ? "none" : `${report.signer.subject} · ${report.signer.key}`],
        ]),
      },
      ...(warnings.length === 0
        ? []
        : [{ title: "Warnings", body: list(warnings.map((line) => html`${sign("open", "warning")} ${line}`)) }]),
      ...(hosts === null ? [] : [{ title: "Hosts", body: hostsTable(hosts) }]),
      { title: "Command line", body: cmdlineWords(report.cmdline) },
      {
        title: "UKI",
        body: html`<p>${code(report.uki.output)} &middot; ${code(report.uki.sha256)}</p>${sectionMap(report.uki.sections)}`,
      },
      ...pcrSection(report),
      ...(image === undefined ? [] : [imageSection(image)]),
      {
        title: "Files",
        body: table(
          "Files of /boot",
          ["File", "Size", "SHA-256"],
          report.files.map(({ path, size, sha256 }) => [code(path), formatBytes(size), code(sha256)]),
        ),
      },
    ],
  };
}

function chainOf({ signer, bootloader, uki, digests, hosts, files }: SealReport): Html {
  const by = signer === null ? [] : [signer.subject];
  const loader = files.find(({ path }) => path.startsWith("EFI/BOOT/"))?.path ?? "systemd-boot";
  const loaderSigners = bootloader.signed === "no" ? [] : by.length > 0 ? by : ["the certificate that was given"];
  return chainOfTrust({
    loaders: [{ name: loader, signers: loaderSigners, problem: null }],
    ukis: [
      {
        name: uki.output,
        signers: uki.signed ? (by.length > 0 ? by : ["the certificate that was given"]) : [],
        problem: null,
      },
    ],
    digests,
    enforced: hosts?.[0]?.enforces.ok ?? null,
  });
}

function pcrSection({ uki }: SealReport): Section[] {
  const rows = Object.entries(uki.pcrs).flatMap(([bank, values]) =>
    values.map(({ phase, profile, pcr, hash }) => [`PCR ${pcr}`, bank, phase, profile, code(hash)]),
  );
  return rows.length === 0
    ? []
    : [{ title: "PCRs", body: table("PCR 11 by phase", ["PCR", "Bank", "Phase", "Profile", "Value"], rows) }];
}

function imageSection(image: ImageSummary): Section {
  const { from, digest, platform, layers, takenOut } = image;
  return {
    title: "Image",
    body: html`${facts([
      ["From", from],
      ["Digest", code(digest)],
      ["Platform", platform],
      ...(takenOut.length === 0 ? [] : [["Taken out", list(takenOut.map(code))] as const]),
    ])}${table(
      "Layers",
      ["Layer", "Origin", "Size", "Digest", "Made by"],
      layers.map(({ digest: one, size, origin, createdBy }, index) => [
        String(index + 1),
        origin,
        formatBytes(size),
        code(one),
        createdBy,
      ]),
    )}`,
  };
}
