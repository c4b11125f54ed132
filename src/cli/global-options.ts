/** The options of every verb. */
import { type GroupValues, optionGroup } from "./options/group.ts";
import { flag, off, path } from "./options/option.ts";

export const globalOptions = optionGroup(null, {
  quiet: flag({ short: "q", help: "only results, warnings and errors" }),
  verbose: flag({ short: "v", help: "say more; a stack with errors" }),
  color: off({ help: "no colour (also NO_COLOR)" }),
  progress: off({ help: "no progress line" }),
  config: path({
    short: "c",
    env: true,
    help: "options from this file, a seal.toml or ukify's",
    shownDefault: "seal.toml, where it exists",
  }),
});

export type GlobalOptions = GroupValues<typeof globalOptions>;
