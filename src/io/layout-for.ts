/** Images as an OCI layout in a directory, for programs that read nothing else. */
import { mkdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { inputError } from "../errors.ts";
import { writeOutput } from "./files.ts";
import { localImage } from "./image.ts";
import { type OpenOptions, parseRootfsSpec } from "./rootfs.ts";
import { readStored, wholeFile } from "./stored-file.ts";
import { listArchive } from "./tar/members.ts";

/**
 * A reference `oci:PATH[:TAG]`, with an absolute path, to the image that was named.
 * @param spec ROOTFS argument
 * @param directory for what must be unpacked; need not be there
 * @throws SealError `input` for what is no image or has no layout; as {@link localImage} does
 */
export async function layoutReference(
  spec: string,
  directory: string,
  options: Pick<OpenOptions, "cwd" | "remote" | "platform">,
): Promise<string> {
  const parsed = parseRootfsSpec(spec);
  switch (parsed.kind) {
    case "dir":
    case "dumpfile":
    case "erofs":
    case "tar":
      throw inputError(spec, "is no image; give oci:PATH[:TAG], oci-archive:FILE[:TAG] or another image");
    default:
  }
  const local = await localImage(parsed, spec, options);
  const path = resolve(options.cwd, local.path);
  const tag = local.kind === "tar" || local.reference === null ? "" : `:${local.reference}`;
  switch (local.kind) {
    case "oci":
      return `oci:${path}${tag}`;
    case "oci-archive":
      await unpackLayout(path, spec, directory);
      return `oci:${directory}${tag}`;
    default:
      throw inputError(spec, "is no OCI image; copy it first: skopeo copy … oci:PATH:TAG");
  }
}

async function unpackLayout(path: string, label: string, directory: string): Promise<void> {
  for (const [name, member] of await listArchive(await wholeFile(label, path))) {
    if (member.kind !== "file" || !/^(?:oci-layout|index\.json|blobs\/[a-z0-9]+\/[0-9a-f]+)$/.test(name)) continue;
    const target = join(directory, name);
    await mkdir(dirname(target), { recursive: true });
    await writeOutput(
      target,
      readStored({ subject: `${label}: ${name}`, path, start: member.start, size: member.size }),
    );
  }
}
