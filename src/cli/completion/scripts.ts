/** Completion scripts for shells, generated from the verbs, so that they know every option and what it takes. */
import type { Command, Verb } from "../command.ts";
import { globalOptions } from "../global-options.ts";
import { type Spelling, spellings } from "../options/spelling.ts";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

export interface CompletionVerb {
  readonly verb: Verb;
  readonly command: Command;
}

const GLOBAL_OPTIONS = ["help", ...spellings(globalOptions.declarations).map(({ name }) => name)];

/** The script that a user's shell sources: `source <(seal completion bash)`. */
export function completionScript(shell: Shell, verbs: readonly CompletionVerb[]): string {
  switch (shell) {
    case "bash":
      return bashScript(verbs);
    case "zsh":
      return `#compdef seal\nautoload -U +X bashcompinit && bashcompinit\n${bashScript(verbs)}`;
    case "fish":
      return fishScript(verbs);
  }
}

function bashScript(verbs: readonly CompletionVerb[]): string {
  const names = [...new Set(verbs.map(({ verb }) => verb.name.split(" ")[0]))];
  const groups = new Map<string, string[]>();
  for (const { verb } of verbs) {
    const [first = "", second] = verb.name.split(" ");
    if (second !== undefined) groups.set(first, [...(groups.get(first) ?? []), second]);
  }
  const groupCases = [...groups].map(
    ([name, subs]) => `    ${name}) COMPREPLY=($(compgen -W "${subs.join(" ")}" -- "$cur")); return ;;`,
  );
  const valueCases = verbs.flatMap(({ verb, command }) =>
    spellings(command.options)
      .filter(takesValue)
      .map(({ name, option: { complete } }) => {
        const reply = Array.isArray(complete)
          ? `compgen -W "${complete.join(" ")}" -- "$cur"`
          : complete === "directory"
            ? 'compgen -d -- "$cur"'
            : 'compgen -f -- "$cur"';
        return `    "${verb.name} --${name}") COMPREPLY=($(${reply})); return ;;`;
      }),
  );
  // seal help keys …, seal config keys …
  const nestedCases = [...groups].map(
    ([name, subs]) =>
      `    "help ${name}"|"config ${name}") COMPREPLY=($(compgen -W "${subs.join(" ")}" -- "$cur")); return ;;`,
  );
  const wordCases = verbs.flatMap(({ verb, command }) => {
    const words = argumentWords(command);
    const files = Object.values(command.arguments).every(({ complete }) => Array.isArray(complete)) ? "" : " files=1";
    return words.length === 0 ? [] : [`    "${verb.name}") words="${words.join(" ")}"${files} ;;`];
  });
  const optionCases = verbs.map(({ verb, command }) => {
    const shown = spellings(command.options).filter(({ hidden }) => !hidden);
    const options = [...shown.map(({ name }) => name), ...GLOBAL_OPTIONS];
    return `    "${verb.name}") options="${options.map((name) => `--${name}`).join(" ")}" ;;`;
  });
  return `# completion of seal for bash
_seal() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} verb=\${COMP_WORDS[1]} options= words= files=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then COMPREPLY=($(compgen -W "${names.join(" ")} help --help --version" -- "$cur")); return; fi
  if [ "$COMP_CWORD" -eq 2 ]; then case $verb in
${groupCases.join("\n")}
    help) COMPREPLY=($(compgen -W "${names.join(" ")}" -- "$cur")); return ;;
  esac; fi
  case $verb in ${[...groups.keys()].join("|") || "-"}) verb="$verb \${COMP_WORDS[2]}" ;; esac
  case "$verb $prev" in
${[...nestedCases, ...valueCases].join("\n")}
  esac
  case "$verb" in
${optionCases.join("\n")}
  esac
  case "$verb" in
${wordCases.join("\n")}
  esac
  case $cur in
    -*) COMPREPLY=($(compgen -W "$options" -- "$cur")) ;;
    *)
      COMPREPLY=($(compgen -W "$words" -- "$cur"))
      if [ "\${#COMPREPLY[@]}" -eq 0 ] || [ -n "$files" ]; then COMPREPLY+=($(compgen -f -- "$cur")); fi ;;
  esac
}
complete -o filenames -F _seal seal
`;
}

function fishScript(verbs: readonly CompletionVerb[]): string {
  const lines = [
    "# completion of seal for fish",
    "complete -c seal -f -n __fish_use_subcommand -a help -d 'show usage of a verb'",
  ];
  const described = new Set<string>();
  for (const { verb, command } of verbs) {
    const [first = "", second] = verb.name.split(" ");
    if (!described.has(first)) {
      const summary = second === undefined ? verb.summary : "";
      lines.push(`complete -c seal -f -n __fish_use_subcommand -a ${first} -d ${quote(summary)}`);
      described.add(first);
    }
    if (second !== undefined) {
      lines.push(
        `complete -c seal -f -n '__fish_seen_subcommand_from ${first}' -a ${second} -d ${quote(verb.summary)}`,
      );
    }
    const condition = second === undefined ? first : second;
    const words = argumentWords(command);
    if (words.length > 0) {
      lines.push(`complete -c seal -f -n '__fish_seen_subcommand_from ${condition}' -a ${quote(words.join(" "))}`);
    }
    for (const spelling of spellings(command.options)) {
      if (spelling.hidden) continue;
      const { complete } = spelling.option;
      const words = Array.isArray(complete) ? ` -x -a ${quote(complete.join(" "))}` : takesValue(spelling) ? " -r" : "";
      lines.push(
        `complete -c seal -n '__fish_seen_subcommand_from ${condition}' -l ${spelling.name}${words} -d ${quote(spelling.help)}`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}

/** What an argument may be, where that can be listed. */
function argumentWords(command: Command): readonly string[] {
  return Object.values(command.arguments).flatMap(({ complete }) => (Array.isArray(complete) ? complete : []));
}

function takesValue({ option, negates }: Spelling): boolean {
  return option.takes !== "nothing" && !negates;
}

function quote(text: string): string {
  return `'${text.replace(/[\\']/g, (char) => `\\${char}`)}'`;
}
