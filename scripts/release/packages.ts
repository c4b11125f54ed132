/** Packages of Debian and RPM, made of the tree of the archive by nfpm. */
import { execFileSync } from "node:child_process";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { breakWords } from "../../src/text.ts";
import { type Architecture, OLDEST_GLIBC, TARGETS } from "./targets.ts";
import { DOCUMENTATION, filesBelow } from "./tree.ts";

/** What package.json says of the program. */
export interface Program {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
}

export const FORMATS = ["deb", "rpm"] as const;
export type Format = (typeof FORMATS)[number];

/** The name of a package's file, as each of the two worlds has them. */
export function packageName({ name, version }: Program, arch: Architecture, format: Format): string {
  const { deb, rpm } = TARGETS[arch];
  return format === "deb" ? `${name}_${version}_${deb}.deb` : `${name}-${version}-1.${rpm}.rpm`;
}

/** What node is linked with. RPM's names are those of symbols, which all distributions have alike. */
const DEPENDS: Readonly<Record<Format, readonly string[]>> = {
  deb: [`libc6 (>= ${OLDEST_GLIBC})`, "libstdc++6", "libgcc-s1 | libgcc1"],
  rpm: [`libc.so.6(GLIBC_${OLDEST_GLIBC})(64bit)`, "libstdc++.so.6()(64bit)", "libgcc_s.so.1()(64bit)"],
};

/** Lines of descriptions are shown as they are; Debian's lintian and RPM's rpmlint want them below 80 columns. */
const DESCRIPTION_WIDTH = 72;

/** @param tree of the archive, all of which is installed below /usr but its sums */
export function nfpmConfiguration(program: Program, arch: Architecture, tree: string, mtime: Date): object {
  const { name, version, description, license } = program;
  // The first line is what lists of packages show.
  const [summary = "", more] = description.split(": ");
  return {
    name,
    version,
    license,
    description: [summary, ...(more === undefined ? [] : breakWords(more.split(" "), DESCRIPTION_WIDTH))].join("\n"),
    arch: TARGETS[arch].deb,
    platform: "linux",
    section: "admin",
    maintainer: "The seal authors <seal@localhost>",
    mtime: mtime.toISOString(),
    disable_globbing: true,
    contents: [
      ...filesBelow(tree).map((path) => ({
        src: join(tree, path),
        dst: `/usr/${path}`,
        file_info: { mode: statSync(join(tree, path)).mode & 0o111 ? 0o755 : 0o644, mtime: mtime.toISOString() },
        ...(path.startsWith(DOCUMENTATION) && { type: "doc" }),
      })),
      // Debian's name for it.
      {
        src: join(tree, DOCUMENTATION, "LICENSE"),
        dst: `/usr/${DOCUMENTATION}/copyright`,
        file_info: { mode: 0o644, mtime: mtime.toISOString() },
        packager: "deb",
      },
    ],
    deb: { compression: "gzip" },
    rpm: { compression: "gzip", buildhost: "localhost", summary },
    overrides: Object.fromEntries(FORMATS.map((format) => [format, { depends: DEPENDS[format] }])),
  };
}

/** @param output the directory that both packages go to */
export function writePackages(
  program: Program,
  { arch, tree, mtime, work }: { arch: Architecture; tree: string; mtime: Date; work: string },
  output: string,
): void {
  const file = join(work, "nfpm.yaml");
  writeFileSync(file, stringify(nfpmConfiguration(program, arch, tree, mtime)));
  for (const format of FORMATS) {
    const target = join(output, packageName(program, arch, format));
    execFileSync("nfpm", ["package", "--config", file, "--packager", format, "--target", target], {
      env: { ...process.env, SOURCE_DATE_EPOCH: String(mtime.getTime() / 1000) },
      stdio: ["ignore", "ignore", "inherit"],
    });
  }
}
