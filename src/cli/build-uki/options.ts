/** The options of `build-uki`: those of `ukify build`, and those for a root filesystem. */

import { optionGroup } from "../options/group.ts";
import { halvesOptions } from "../options/halves.ts";
import { choice, either, flagOrChoice, parsed, path, text } from "../options/option.ts";
import { PCR_GROUP } from "../options/pcr.ts";
import { writes } from "../options/risk.ts";
import { signingOptions } from "../options/signing.ts";
import { sealSource } from "../options/source.ts";
import { ukiOptions } from "../options/uki.ts";
import { ROOTFS_GROUP, ukiRootfsOptions } from "../options/uki-rootfs.ts";

/** With `--join-pcrsig`, the contents are those of a UKI that is there. */
const joined = { excludes: { joinPcrsig: "can't be given with --join-pcrsig, which changes nothing else" } };
const goesWithout = (flags: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(flags).map(([name, flag]) => [name, `goes without ${flag}`]));

export const BUILD_UKI_ARGUMENTS = {
  action: choice(["build"], {
    problem: "seal builds; leave it out, or see seal --help for other verbs",
    help: "build, as ukify spells it; may be left out",
  }),
};

export const buildUkiOptions = optionGroup(ROOTFS_GROUP, {
  from: parsed(sealSource, {
    problem: "give an image",
    placeholder: "image",
    help: "the same from an image, oci:PATH[:TAG] and the like, or dir:PATH for a fresh one: with the digest that it has without its kernel, as seal image and with-uki make it",
    excludes: ["rootfs"],
  }),
  enrollKeys: path({
    complete: "directory",
    help: "with --from: directory with PK.auth, KEK.auth, db.auth (and dbx.auth), as with-uki gets it: bootc install takes them from /usr",
    requires: "from",
  }),
  writeDumpfileTo: path({
    risk: writes,
    help: "write the tree that the digest is of as a composefs dump file",
    requires: { anyOf: ["rootfs", "from"] },
    excludes: { digest: "nothing is computed of a --digest that is given" },
  }),
})
  .and(halvesOptions.each({ heading: ROOTFS_GROUP, requires: "from" }))
  .and(ukiRootfsOptions.with({ rootfs: joined }))
  // These two say how something is made, which ukify's configuration may do for other calls.
  .and(ukiOptions.each(joined, { except: ["efiArch", "pcrBanks"] }))
  .and(
    optionGroup(PCR_GROUP, {
      joinPcrsig: path({
        help: "UKI that --policy-digest made, to put the signatures of its policies into",
        requires: { anyOf: ["pcrsig"], problem: "give the signatures with --pcrsig" },
      }),
      pcrsig: text({
        placeholder: "text|@file",
        problem: "give a text or @FILE",
        help: "the signatures: its JSON with a sig in each policy",
        requires: { anyOf: ["joinPcrsig"], problem: "goes with --join-pcrsig, the UKI it is for" },
      }),
    }),
  )
  .and(signingOptions)
  .and(
    optionGroup("Signing", {
      signKernel: either({
        help: "sign the kernel inside too",
        no: "take the kernel as it is",
        shownDefault: "when there is a key, and the kernel has no signature",
        requires: "key",
      }),
      signtool: choice(["sbsign", "systemd-sbsign"], {
        placeholder: "tool",
        hidden: true,
        problem: "seal signs itself, as sbsign and systemd-sbsign do",
        help: "accepted because ukify has it",
      }),
    }),
  )
  .and(
    optionGroup("Output", {
      output: path({
        risk: writes,
        short: "o",
        help: "where the result goes",
        shownDefault: "NAME.unsigned.efi for a kernel NAME, NAME.efi when signed",
      }),
      printUnsigned: path({
        risk: writes,
        complete: "directory",
        help: "with --from: writes what must be signed next there, UKI or boot loader or both, and prints the paths",
        requires: "from",
        excludes: goesWithout({ output: "--output", key: "--key", signer: "--signer", json: "--json" }),
      }),
      json: flagOrChoice(["pretty", "short", "off"], {
        placeholder: "format",
        help: "print sections, hashes and PCR values as JSON; pretty, short or off: how --measure prints",
        excludes: { joinPcrsig: "there is no report with --join-pcrsig; see seal inspect" },
      }),
    }),
  );

/** Its camel-case name. */
export type BuildUkiOption = keyof (typeof buildUkiOptions)["declarations"];
