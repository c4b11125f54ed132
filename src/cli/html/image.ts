/** `seal inspect` of a container image: what it is, its layers, the programs of its /boot. */
import type { InspectImageReport } from "../inspect/image-report.ts";
import { formatBytes } from "../terminal/report.ts";
import { areSigned, chainOfTrust } from "./chain-of-trust.ts";
import { html } from "./markup.ts";
import { code, facts, type Page, table } from "./parts.ts";
import { cmdlineWords, signedPart } from "./program.ts";

export function imagePage(image: InspectImageReport): Page {
  const { programs, layers, config } = image;
  const parts = (role: "uki" | "loader") =>
    programs
      .filter((one) => one.role === role)
      .map(({ path, program, problem }) =>
        program === null ? { name: path, signers: [], problem } : signedPart(path, program.signatures),
      );
  const ukis = programs.flatMap(({ role, path, program }) =>
    role === "uki" && program !== null ? [{ path, program }] : [],
  );
  return {
    subject: image.file,
    kind: "Image",
    verdict: image.sealed
      ? areSigned(parts("uki"))
        ? { mark: "good", text: `sealed · ${image.platform}` }
        : { mark: "bad", text: `sealed, but a UKI has no valid signature · ${image.platform}` }
      : { mark: "open", text: `not sealed · ${image.platform}` },
    sections: [
      {
        title: "Chain of trust",
        body: chainOfTrust({
          loaders: parts("loader"),
          ukis: parts("uki"),
          digests: ukis.flatMap(({ program }) => program.composefs.digests),
          enforced: null,
        }),
      },
      {
        title: "Image",
        body: facts([
          ["Digest", image.digest === null ? "none: it has no manifest of its own" : code(image.digest)],
          ...(config.created === null ? [] : [["Created", config.created] as const]),
          ...(config.command.length === 0 ? [] : [["Command", code(config.command.join(" "))] as const]),
          ...Object.entries({ ...image.labels, ...image.annotations, ...config.annotations }),
        ]),
      },
      ...ukis.map(({ path, program }) => ({
        title: `Command line of ${path}`,
        body: program.cmdline === null ? html`<p>It has none.</p>` : cmdlineWords(program.cmdline),
      })),
      {
        title: "Programs",
        body: table(
          "EFI programs of /boot",
          ["File", "Role", "Size", "Signed by", "SHA-256"],
          programs.map(({ path, role, problem, program }) => [
            code(path),
            role,
            program === null ? "" : formatBytes(program.size),
            program === null ? problem : program.signatures.map(({ subject }) => subject).join(", ") || "nobody",
            program === null ? "" : code(program.sha256),
          ]),
        ),
      },
      {
        title: "Layers",
        body: table(
          "Layers, lowest first",
          ["Layer", "Size", "Digest", "Made by"],
          layers.map(({ digest, diffId, size, createdBy }, index) => [
            String(index + 1),
            formatBytes(size),
            code(digest ?? diffId ?? ""),
            createdBy,
          ]),
        ),
      },
    ],
  };
}
