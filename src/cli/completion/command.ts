/** `seal completion SHELL`: prints a completion script. */
import { z } from "zod";
import { type Command, defineCommand, type Verb } from "../command.ts";
import { completionScript, SHELLS } from "./scripts.ts";

/** @param verbs all of them, this one too */
export function completionCommand(verbs: readonly Verb[]): Command {
  return defineCommand({
    examples: [
      ["bash > /etc/bash_completion.d/seal", "for every user, with bash"],
      ["fish | source", "in this fish session"],
    ],
    arguments: [{ name: "<shell>", description: "bash, zsh or fish" }],
    options: [],
    schema: z.object({ shell: z.enum(SHELLS) }),
    run: async ({ host }, { shell }) => {
      const loaded = await Promise.all(verbs.map(async (verb) => ({ verb, command: await verb.load() })));
      host.stdout.write(completionScript(shell, loaded));
      return 0;
    },
  });
}
