/** JSON of images, configuration, event logs. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseKargs } from "../../../src/boot/kargs.ts";
import { menuTitle, parseOsRelease } from "../../../src/boot/os-release.ts";
import { applyUkifyConfig, parseUkifyConfig } from "../../../src/cli/build-uki/ukify-config.ts";
import { configEntries, readConfig, settingsOf } from "../../../src/cli/config/file.ts";
import { VERBS } from "../../../src/cli/verbs.ts";
import type { ProcessPort } from "../../../src/io/process-port.ts";
import { parseConfig, parseDockerSave, parseIndex, parseManifest } from "../../../src/oci/schemas.ts";
import { extendingEvents, parseEventLog } from "../../../src/pe/event-log.ts";
import { loadedFrom, loggedText, taggedText } from "../../../src/pe/log-event.ts";
import { authorityText, listDifference, loggedVariable } from "../../../src/sign/logged-variable.ts";
import { readArchive } from "../../support/archive.ts";
import { tempDir } from "../../support/temp.ts";
import { vector } from "../../support/vectors.ts";
import type { FuzzTarget } from "../target.ts";

/** The JSON documents in an image: index, manifest, configuration. */
async function documents(name: string): Promise<Uint8Array[]> {
  const found: Uint8Array[] = [];
  const archive = vector(`oci/${name}.oci.tar`);
  for (const { content: bytes } of readArchive(archive, { subject: name, negativeTimes: false })) {
    if (bytes[0] === 0x7b && !Buffer.from(bytes).includes("imageLayoutVersion")) found.push(bytes);
  }
  return found;
}

let directory: string | null = null;

/** A host whose directory has this file. */
function hostWith(name: string, bytes: Uint8Array): ProcessPort {
  directory ??= tempDir();
  writeFileSync(join(directory, name), bytes);
  const nowhere = { write: () => {}, columns: null };
  return {
    env: {},
    cwd: directory,
    stdout: nowhere,
    stderr: nowhere,
    stdin: async () => new Uint8Array(),
    now: () => new Date(0),
    elapsed: () => 0,
  };
}

const JSON_TOKENS = [
  '"',
  "{",
  "}",
  "[",
  "]",
  ":",
  ",",
  "null",
  "1e999",
  '"sha256:',
  "\\u0000",
  "schemaVersion",
  "-1",
  "[[[[[[[",
];

export const textTargets: readonly FuzzTarget[] = [
  {
    name: "oci-json",
    seeds: async () => [
      ...(await documents("layers")),
      ...(await documents("odd-times")),
      Buffer.from('[{"Config":"abc.json","RepoTags":["x:latest"],"Layers":["a/layer.tar"]}]'),
    ],
    tokens: JSON_TOKENS,
    read: (bytes) => {
      // A file is one of them; all refuse what is another one.
      const errors: unknown[] = [];
      for (const parse of [parseIndex, parseManifest, parseConfig, parseDockerSave]) {
        try {
          parse(bytes, "x");
          return;
        } catch (error) {
          errors.push(error);
        }
      }
      throw errors.find((error) => !(error instanceof Error && error.name === "SealError")) ?? errors[0];
    },
  },
  {
    name: "seal-toml",
    seeds: () => [
      Buffer.from(
        'key = "db.key"\ncert = "db.crt"\nchain = ["a.crt", "b.crt"]\njobs = 2\n[lint]\nskip = ["var-log"]\n',
      ),
      Buffer.from('[rootfs]\nkarg = ["quiet", """a\nb"""]\nentry-token = "x"\n'),
    ],
    tokens: [
      '"""',
      "'''",
      "[[",
      "]]",
      "= ",
      "{",
      "}",
      "inf",
      "nan",
      "0x",
      "1979-05-27",
      "\\u0000",
      "__proto__",
      "constructor",
    ],
    read: async (bytes) => {
      for (const name of ["lint", "rootfs"]) {
        const verb = VERBS.find((one) => one.name === name);
        if (verb === undefined) throw new Error(`no verb ${name}`);
        settingsOf(await configEntries(await readConfig("seal.toml", hostWith("seal.toml", bytes)), verb, VERBS));
      }
    },
  },
  {
    name: "ukify-conf",
    seeds: () => [
      Buffer.from(
        "[UKI]\nLinux=/vmlinuz\nInitrd=/a /b\nCmdline=quiet \\\n  rw # x\nSecureBootPrivateKey=db.key\n[PCRSignature:a]\nPhases=x:y\n",
      ),
      Buffer.from("[UKI]\nStub=/s\nPCRBanks=sha256,sha1\nSignKernel=yes\n\n[PCRSignature:b]\nPCRPrivateKey=k\n"),
    ],
    tokens: ["[UKI]", "[PCRSignature:", "]", "=", "#", "\n ", "\r", "[DEFAULT]", "__proto__=x\n", "[__proto__]"],
    read: (bytes) => {
      applyUkifyConfig(parseUkifyConfig(bytes, "x"), {});
    },
  },
  {
    name: "kargs-d",
    seeds: () => [Buffer.from('kargs = ["console=ttyS0", "quiet"]\nmatch-architectures = ["x86_64"]\n')],
    tokens: ["kargs", "match-architectures", '"""', "[", "]", "\\u0000", '"', "= "],
    read: (bytes) => {
      parseKargs(bytes, "usr/lib/bootc/kargs.d/x.toml", "x");
    },
  },
  {
    name: "os-release",
    seeds: () => [Buffer.from('ID=test\nPRETTY_NAME="A \\"test\\" $x"\nVERSION_ID=\'1 2\'\n')],
    tokens: ["PRETTY_NAME=", '"', "'", "\\", "\n", "\0", "$", "`"],
    read: (bytes) => {
      menuTitle(parseOsRelease(bytes));
    },
  },
  {
    name: "event-log",
    seeds: () => [vector("event-log/ovmf-systemd.bin.gz")],
    tokens: ["Spec ID Event03\0", "\x0b\x00\x20\x00", "\x0d\x00\x40\x00"],
    read: (bytes) => {
      const log = parseEventLog(bytes, "x");
      extendingEvents(log, 11);
      for (const event of log) {
        const variable = loggedVariable(event);
        if (variable !== null) [authorityText(variable), listDifference(variable, Buffer.of())].join();
        [loadedFrom(event), loggedText(event), taggedText(event)?.text].join();
      }
    },
  },
];
