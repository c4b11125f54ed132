/** `seal completion SHELL`: prints a completion script. */
import { z } from "zod";
import { defineCommand } from "../command.ts";
import { VERBS } from "../verbs.ts";
import { completionScript, SHELLS } from "./scripts.ts";

export const completionCommand = defineCommand({
  examples: [
    ["bash > /etc/bash_completion.d/seal", "for every user, with bash"],
    ["fish | source", "in this fish session"],
  ],
  arguments: [{ name: "<shell>", description: "bash, zsh or fish" }],
  options: [],
  schema: z.object({ shell: z.enum(SHELLS) }),
  run: async ({ host }, { shell }) => {
    const verbs = await Promise.all(VERBS.map(async (verb) => ({ verb, command: await verb.load() })));
    host.stdout.write(completionScript(shell, verbs));
    return 0;
  },
});
