/** `seal keys show FILE…`: what is in key files, signature lists, signed updates and variable stores. */
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import { defineCommand } from "../command.ts";
import { printJson, printLine, userPath } from "../context.ts";
import { optionGroup } from "../options/group.ts";
import { flag, path } from "../options/option.ts";
import { passphraseOptions, readPassphrase } from "../options/passphrase.ts";
import { describeKeys, drawKeys, keysShowReportSchema } from "./show-report.ts";

export const keysShowCommand = defineCommand({
  examples: [
    ["keys/db.auth", "which variable it updates, who signed it and what it enrols"],
    ["OVMF_VARS.fd --json", "the variables of a virtual machine's firmware"],
    ["/sys/firmware/efi/efivars/dbx-*", "this machine's revocations"],
  ],
  arguments: {
    file: path({
      many: true,
      required: "give a file",
      help: "signature lists, .auth, certificates, private keys, EDK II variable stores",
    }),
  },
  options: passphraseOptions.and(optionGroup(null, { json: flag({ help: "print the result as JSON" }) })),
  run: async (context, options) => {
    const passphrase = await readPassphrase(context, options);
    for (const file of options.file) {
      const report = await describeKeys(await readInput(userPath(context, file), SMALL_FILE), file, passphrase);
      if (options.json) printJson(context, keysShowReportSchema.parse(report));
      else printLine(context, drawKeys(report, context.process.stdout.columns));
    }
    return 0;
  },
});
