/** `seal keys show FILE…`: what is in key files, signature lists, signed updates and variable stores. */
import { z } from "zod";
import { readInput, SMALL_FILE } from "../../io/read-input.ts";
import { defineOldCommand } from "../command.ts";
import { printJson, printLine, userPath } from "../context.ts";
import { passphraseOptions, passphraseShape, readPassphrase } from "../options/passphrase.ts";
import { describeKeys, drawKeys, keysShowJson } from "./show-report.ts";

const schema = z.object({
  file: z.array(z.string().min(1, "give a file")).min(1, "give a file"),
  json: z.boolean().default(false),
  ...passphraseShape,
});
type Options = z.infer<typeof schema>;

export const keysShowCommand = defineOldCommand<Options>({
  examples: [
    ["keys/db.auth", "which variable it updates, who signed it, and what it enrols"],
    ["OVMF_VARS.fd --json", "the variables of a virtual machine's firmware"],
    ["/sys/firmware/efi/efivars/dbx-*", "what this machine revokes"],
  ],
  arguments: [
    { name: "<file...>", description: "signature lists, .auth, certificates, private keys, EDK II variable stores" },
  ],
  options: [...passphraseOptions, { flags: "--json", description: "print the result as JSON" }],
  schema,
  run: async (context, options) => {
    const passphrase = await readPassphrase(context, options);
    for (const file of options.file) {
      const report = await describeKeys(await readInput(userPath(context, file), SMALL_FILE), file, passphrase);
      if (options.json) printJson(context, keysShowJson.parse(report));
      else printLine(context, drawKeys(report));
    }
    return 0;
  },
});
