/** `seal completion SHELL`: prints a completion script. */
import { type Command, defineCommand, type Verb } from "../command.ts";
import { optionGroup } from "../options/group.ts";
import { choice } from "../options/option.ts";
import { completionScript, SHELLS } from "./scripts.ts";

/** @param verbs all of them, this one too */
export function completionCommand(verbs: readonly Verb[]): Command {
  return defineCommand({
    examples: [
      ["bash > /etc/bash_completion.d/seal", "for all users of bash"],
      ["fish | source", "for the current fish session"],
    ],
    arguments: { shell: choice(SHELLS, { required: "give a shell", help: "bash, zsh or fish" }) },
    options: optionGroup(null, {}),
    run: async ({ process }, { shell }) => {
      const loaded = await Promise.all(verbs.map(async (verb) => ({ verb, command: await verb.load() })));
      process.stdout.write(completionScript(shell, loaded));
      return 0;
    },
  });
}
