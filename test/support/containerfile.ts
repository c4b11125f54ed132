/**
 * Reads Containerfiles as far as tests need it: stages, what they start from and take from each other, and the
 * programs that they run.
 */

export interface Instruction {
  readonly name: string;
  /** `--mount=…` and the like. */
  readonly flags: readonly string[];
  /** The rest, with continued lines joined. */
  readonly text: string;
}

export interface Stage {
  /** What `AS` says; the last one often has no name. */
  readonly name: string | null;
  readonly from: string;
  readonly instructions: readonly Instruction[];
}

const INSTRUCTIONS = /^(ADD|ARG|CMD|COPY|ENTRYPOINT|ENV|FROM|LABEL|RUN|STOPSIGNAL|USER|WORKDIR)$/;

/** @throws Error for what is no Containerfile */
export function parseContainerfile(text: string): { args: Map<string, string>; stages: Stage[] } {
  const args = new Map<string, string>();
  const stages: (Stage & { instructions: Instruction[] })[] = [];
  const joined = text.replace(/^#.*\n/gm, "").replace(/\\\n/g, " ");
  for (const line of joined.split("\n").filter((one) => one.trim() !== "")) {
    const [, name = "", rest = ""] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    if (!INSTRUCTIONS.test(name)) throw new Error(`no instruction: ${line}`);
    const flags = /^(--\S+\s+)*/.exec(rest)?.[0] ?? "";
    const instruction = {
      name,
      flags: flags.trim().split(/\s+/).filter(Boolean),
      text: rest.slice(flags.length).trim(),
    };
    const [, from = "", as = null] = /^(\S+)(?: AS (\S+))?$/.exec(instruction.text) ?? [];
    if (name === "FROM") stages.push({ name: as, from: expand(from, args), instructions: [] });
    else if (stages.length > 0) stages.at(-1)?.instructions.push(instruction);
    else if (name === "ARG") args.set(...splitAt(instruction.text, "="));
    else throw new Error(`before the first stage: ${line}`);
  }
  return { args, stages };
}

/** The stages or images that an instruction takes something from. */
export function sourcesOf({ flags }: Instruction): string[] {
  return flags.flatMap((flag) => /[=,]from=([^,]+)/.exec(flag)?.[1] ?? /^--from=(.+)$/.exec(flag)?.[1] ?? []);
}

/** All calls of `seal` in a shell script, as words; variables stay as they are written. */
export function sealCalls(script: string): string[][] {
  const calls: string[][] = [];
  let call: string[] | null = null;
  for (const [, quoted, double, word = "", operator] of script.matchAll(
    /'([^']*)'|"([^"]*)"|([^\s'"|&;<>]+)|([|&;<>\n]+)/g,
  )) {
    if (operator !== undefined) {
      call = null;
      continue;
    }
    const value = quoted ?? double ?? word;
    if (call !== null) call.push(value);
    else if (value === "seal") {
      call = [];
      calls.push(call);
    }
  }
  return calls.filter((words) => words.length > 0);
}

function expand(text: string, args: ReadonlyMap<string, string>): string {
  return text.replace(/\$\{(\w+)\}/g, (_, name: string) => {
    const value = args.get(name);
    if (value === undefined) throw new Error(`no ARG ${name}`);
    return value;
  });
}

function splitAt(text: string, separator: string): [string, string] {
  const place = text.indexOf(separator);
  return place === -1 ? [text, ""] : [text.slice(0, place), text.slice(place + 1)];
}
