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
  Object.fromEntries(Object.entries(flags).map(([name, flag]) => [name, `cannot be combined with ${flag}`]));

export const BUILD_UKI_ARGUMENTS = {
  action: choice(["build"], {
    problem: "give build or nothing; see seal --help for other verbs",
    help: "build, as in ukify; optional",
  }),
};

export const buildUkiOptions = optionGroup(ROOTFS_GROUP, {
  from: parsed(sealSource, {
    problem: "give an image",
    placeholder: "image",
    help: "like --rootfs, from an image (oci:PATH[:TAG] etc., or dir:PATH for a new one): uses the digest of the image without its kernel, as seal image and with-uki write it",
    excludes: ["rootfs"],
  }),
  enrollKeys: path({
    complete: "directory",
    help: "with --from: directory with PK.auth, KEK.auth, db.auth (and dbx.auth), placed in /usr for bootc install; give with-uki the same",
    requires: "from",
  }),
  writeDumpfileTo: path({
    risk: writes,
    help: "write the tree that the digest covers as a composefs dump file",
    requires: { anyOf: ["rootfs", "from"] },
    excludes: { digest: "with --digest, no tree is read" },
  }),
})
  .and(halvesOptions.each({ heading: ROOTFS_GROUP, requires: "from" }))
  .and(ukiRootfsOptions.with({ rootfs: joined }))
  // These two say how something is made, which ukify's configuration may do for other calls.
  .and(ukiOptions.each(joined, { except: ["efiArch", "pcrBanks"] }))
  .and(
    optionGroup(PCR_GROUP, {
      joinPcrsig: path({
        help: "UKI built with --policy-digest, to which the policy signatures are added",
        requires: { anyOf: ["pcrsig"], problem: "give the signatures with --pcrsig" },
      }),
      pcrsig: text({
        placeholder: "text|@file",
        problem: "give a text or @FILE",
        help: "the signatures: the JSON of --policy-digest with a sig in each policy",
        requires: { anyOf: ["joinPcrsig"], problem: "requires --join-pcrsig, the UKI to sign" },
      }),
    }),
  )
  .and(signingOptions)
  .and(
    optionGroup("Signing", {
      signKernel: either({
        help: "also sign the kernel inside",
        no: "leave the kernel unchanged",
        shownDefault: "if a key is given and the kernel is unsigned",
        requires: "key",
      }),
      signtool: choice(["sbsign", "systemd-sbsign"], {
        placeholder: "tool",
        hidden: true,
        problem: "seal signs itself, as sbsign and systemd-sbsign do",
        help: "accepted for compatibility with ukify",
      }),
    }),
  )
  .and(
    optionGroup("Output", {
      output: path({
        risk: writes,
        short: "o",
        help: "file to write",
        shownDefault: "NAME.unsigned.efi for a kernel NAME, NAME.efi if signed",
      }),
      printUnsigned: path({
        risk: writes,
        complete: "directory",
        help: "with --from: write what must be signed next (UKI, boot loader or both) to this directory, and print the paths",
        requires: "from",
        excludes: goesWithout({ output: "--output", key: "--key", signer: "--signer", json: "--json" }),
      }),
      json: flagOrChoice(["pretty", "short", "off"], {
        placeholder: "format",
        help: "print sections, hashes and PCR values as JSON; pretty, short or off: format of --measure",
        excludes: { joinPcrsig: "cannot be combined with --join-pcrsig, which prints no report; see seal inspect" },
      }),
    }),
  );

/** Its camel-case name. */
export type BuildUkiOption = keyof (typeof buildUkiOptions)["declarations"];
