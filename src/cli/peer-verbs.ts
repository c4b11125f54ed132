/**
 * What scripts say to bootc and ukify, as what they would say to seal: another verb and other names of options,
 * nothing more. bootc's options are those of its `container` verbs, releases 1.14 to 1.17 (bootc-container-ukify(8)
 * and its neighbours).
 */
import { SealError } from "../errors.ts";

/** A call of another program's verb. */
interface PeerVerb {
  /** What is typed: `container ukify`. */
  readonly words: readonly [string, string];
  readonly own: string;
  /** Arguments of seal's verb from those after the words. */
  readonly translate: (args: readonly string[]) => readonly string[];
}

const CONTAINER = "container";

const PEER_VERBS: readonly PeerVerb[] = [
  {
    words: [CONTAINER, "ukify"],
    own: "build-uki",
    translate: (args) => {
      const end = args.includes("--") ? args.indexOf("--") : args.length;
      // What is for ukify has the same names here.
      return [...ukiFormat(onRootfs(args.slice(0, end))), ...args.slice(end + 1)];
    },
  },
  {
    words: [CONTAINER, "compute-composefs-digest"],
    own: "compute-digest",
    translate: (args) => replaceOption(args, "--erofs-version", (format) => ["--erofs", format]),
  },
  {
    words: [CONTAINER, "compute-composefs-digest-from-storage"],
    own: "compute-digest",
    translate: (args) => {
      const image = args.findIndex((argument, index) => !argument.startsWith("-") && !takesNext(args[index - 1]));
      if (image < 0) throw new SealError("usage", "compute-composefs-digest-from-storage: give the image");
      const named = args.with(image, `containers-storage:${args[image]}`);
      return replaceOption(named, "--erofs-version", (format) => ["--erofs", format]);
    },
  },
  { words: [CONTAINER, "split-kernel-and-rootfs"], own: "split-kernel", translate: onRootfs },
  {
    words: [CONTAINER, "lint"],
    own: "lint",
    translate: (args) =>
      replaceOption(
        onRootfs(args).filter((argument) => argument !== "--no-truncate"),
        "--rootfs",
        (rootfs) => [rootfs],
      ),
  },
  { words: ["ukify", "inspect"], own: "inspect", translate: inspected },
];

/**
 * The arguments of a call with another program's verb replaced by seal's; all others as they are.
 * @param words index of the first word in the arguments, which global options may precede
 * @throws SealError `usage` for verbs that seal has nothing for
 */
export function asOwnVerb(argv: readonly string[], words: number): readonly string[] {
  const [first, second] = argv.slice(words);
  const peer = PEER_VERBS.find((one) => one.words[0] === first && one.words[1] === second);
  const before = argv.slice(0, words);
  const after = argv.slice(words + 2);
  if (peer !== undefined) {
    const isHelp = before.at(-1) === "help" || after.some((argument) => argument === "--help" || argument === "-h");
    return [...before, peer.own, ...(isHelp ? after : peer.translate(after))];
  }
  if (first === CONTAINER) {
    const known = PEER_VERBS.flatMap(({ words: [group, verb] }) => (group === CONTAINER ? [verb] : []));
    throw new SealError("usage", `container: give one of ${known.join(", ")}, as in bootc`);
  }
  if (first === "ukify" && second === "genkey") {
    throw new SealError(
      "usage",
      "ukify genkey: seal keys generate --output DIR makes db.key and db.crt for --secureboot-private-key and --secureboot-certificate, and with --pcr-key NAME those of PCR policies",
    );
  }
  return argv;
}

/** bootc's default is the root filesystem that it runs in. */
function onRootfs(args: readonly string[]): readonly string[] {
  const isGiven = args.some((argument) => argument === "--rootfs" || argument.startsWith("--rootfs="));
  return isGiven ? args : [...args, "--rootfs", "/"];
}

/** bootc 1.17's `v1` means V1 and, for older hosts, V2. */
const UKI_FORMATS: Readonly<Record<string, readonly string[]>> = {
  v1: ["--karg-style", "both"],
  "v1-only": ["--erofs", "v1", "--karg-style", "composefs.digest"],
  v2: ["--erofs", "v2", "--karg-style", "composefs"],
};

function ukiFormat(args: readonly string[]): readonly string[] {
  return replaceOption(args, "--erofs-version", (format) => {
    const own = UKI_FORMATS[format];
    if (own === undefined) {
      throw new SealError("usage", `--erofs-version: give one of ${Object.keys(UKI_FORMATS).join(", ")}`);
    }
    return own;
  });
}

/** ukify prints JSON in several forms, seal in one; it shows all sections always, and of one the bytes. */
function inspected(args: readonly string[]): readonly string[] {
  const flags = args.flatMap((argument) => {
    if (argument === "--all" || argument === "--json=off") return [];
    return /^(?:-j|--json=(?:short|pretty))$/.test(argument) ? ["--json"] : [argument];
  });
  const json = (format: string) => (format === "off" ? [] : ["--json"]);
  return replaceOption(replaceOption(flags, "--json", json, /^(?:short|pretty|off)$/), "--section", (section) => {
    const [name = "", form = ""] = section.split(":");
    if (form.includes("@")) throw new SealError("usage", `--section ${section}: redirect standard output instead of @`);
    return ["--section", name];
  });
}

/** Options of bootc's with a value of their own. */
function takesNext(argument: string | undefined): boolean {
  return argument === "--erofs-version" || argument === "--write-dumpfile-to";
}

/** Replaces `--option VALUE` and `--option=VALUE`. @param values what a value looks like where it may be left out */
function replaceOption(
  args: readonly string[],
  option: string,
  replacement: (value: string) => readonly string[],
  values = /(?:)/,
): readonly string[] {
  const replaced: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const argument = args[index] ?? "";
    const next = args[index + 1];
    if (argument.startsWith(`${option}=`)) replaced.push(...replacement(argument.slice(option.length + 1)));
    else if (argument === option && next !== undefined && values.test(next)) {
      replaced.push(...replacement(next));
      index++;
    } else replaced.push(argument);
  }
  return replaced;
}
