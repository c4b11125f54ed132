/** The options of every verb. */
import { type GroupValues, optionGroup } from "./options/group.ts";
import { flag, off, path } from "./options/option.ts";

export const globalOptions = optionGroup(null, {
  quiet: flag({ short: "q", help: "print only results, warnings and errors" }),
  verbose: flag({ short: "v", help: "verbose output; stack traces with errors" }),
  color: off({ help: "disable colours (also NO_COLOR)" }),
  progress: off({ help: "disable the progress line" }),
  config: path({
    short: "c",
    env: true,
    help: "read options from this file, a seal.toml or ukify's configuration",
    shownDefault: "./seal.toml, if present",
  }),
});

export type GlobalOptions = GroupValues<typeof globalOptions>;
