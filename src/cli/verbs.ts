/** The table of verbs. Only the verb that is called gets loaded, so that `--version` and `--help` stay instant. */
import type { Verb } from "./command.ts";

/** What the first words of two-word verbs mean. */
export const VERB_GROUPS: Readonly<Record<string, string>> = {
  keys: "manage Secure Boot keys",
};

export const VERBS: readonly Verb[] = [
  {
    name: "rootfs",
    aliases: [],
    summary: "seal a root filesystem: digest, UKI, signatures, boot layout, report",
    load: async () => (await import("./sealing/rootfs.ts")).rootfsCommand,
  },
  {
    name: "image",
    aliases: [],
    summary: "seal a container image and write the result as a new image",
    load: async () => (await import("./sealing/image.ts")).imageCommand,
  },
  {
    name: "with-uki",
    aliases: ["seal-with-uki"],
    summary: "seal a container image with a UKI that was signed elsewhere",
    load: async () => (await import("./sealing/with-uki.ts")).withUkiCommand,
  },
  {
    name: "boot-layout",
    aliases: [],
    summary: "write the final, signed /boot: UKIs, systemd-boot, configuration",
    load: async () => (await import("./boot-layout.ts")).bootLayoutCommand,
  },
  {
    name: "compute-digest",
    aliases: ["compute-composefs-digest"],
    summary: "compute the composefs digest of a root filesystem",
    load: async () => (await import("./digest/compute.ts")).computeDigestCommand,
  },
  {
    name: "diff",
    aliases: [],
    summary: "show what makes the digests of two root filesystems differ",
    load: async () => (await import("./digest/diff.ts")).diffCommand,
  },
  {
    name: "inspect",
    aliases: [],
    summary: "show the contents of an image, UKI, EFI program, EROFS image or dump file",
    load: async () => (await import("./inspect/command.ts")).inspectCommand,
  },
  {
    name: "prepare",
    aliases: [],
    summary: "put the signed boot loader and keys into a root filesystem before its digest is computed",
    load: async () => (await import("./prepare/command.ts")).prepareCommand,
  },
  {
    name: "split-kernel",
    aliases: ["split-kernel-and-rootfs"],
    summary: "move kernel and initramfs out of a root filesystem",
    load: async () => (await import("./split-kernel.ts")).splitKernelCommand,
  },
  {
    name: "build-uki",
    aliases: ["ukify"],
    summary: "assemble a Unified Kernel Image",
    load: async () => (await import("./build-uki/command.ts")).buildUkiCommand,
  },
  {
    name: "measure",
    aliases: [],
    summary: "predict the PCR values of a UKI and of the machine that boots it",
    load: async () => (await import("./measure/command.ts")).measureCommand,
  },
  {
    name: "keys generate",
    aliases: [],
    summary: "generate PK, KEK and db keys with certificates, signature lists and signed updates",
    load: async () => (await import("./keys/generate.ts")).keysGenerateCommand,
  },
  {
    name: "keys esl",
    aliases: [],
    summary: "create signature lists from certificates and EFI program hashes",
    load: async () => (await import("./keys/esl.ts")).keysEslCommand,
  },
  {
    name: "keys auth",
    aliases: [],
    summary: "sign an update of PK, KEK, db, dbx or another UEFI variable",
    load: async () => (await import("./keys/auth.ts")).keysAuthCommand,
  },
  {
    name: "keys show",
    aliases: [],
    summary: "show keys, certificates, signature lists, signed updates and variable stores",
    load: async () => (await import("./keys/show.ts")).keysShowCommand,
  },
  {
    name: "keys enroll",
    aliases: [],
    summary: "enrol keys into a virtual machine's variable store and turn Secure Boot on",
    load: async () => (await import("./keys/enroll.ts")).keysEnrollCommand,
  },
  {
    name: "sign",
    aliases: [],
    summary: "sign EFI programs for Secure Boot",
    load: async () => (await import("./sign/command.ts")).signCommand,
  },
  {
    name: "verify",
    aliases: [],
    summary: "verify the signatures of EFI programs or of a whole /boot, or the attestations of an image",
    load: async () => (await import("./verify/command.ts")).verifyCommand,
  },
  {
    name: "attest",
    aliases: [],
    summary: "attach signed statements about a sealed image: what it is and how it was made",
    load: async () => (await import("./attest/command.ts")).attestCommand,
  },
  {
    name: "verify-attestation",
    aliases: [],
    summary: "verify who attested an image and whether the statements are true",
    load: async () => (await import("./attest/verify.ts")).verifyAttestationCommand,
  },
  {
    name: "lint",
    aliases: [],
    summary: "check a root filesystem or an image before and after sealing",
    load: async () => (await import("./lint/command.ts")).lintCommand,
  },
  {
    name: "report",
    aliases: [],
    summary: "write an HTML report about an image or root filesystem: chain of trust, findings, hosts, programs",
    load: async () => (await import("./html/command.ts")).reportCommand,
  },
  {
    name: "boot-test",
    aliases: [],
    summary: "boot a sealed /boot or image in a virtual machine with Secure Boot and report how far it gets",
    load: async () => (await import("./boot-test/command.ts")).bootTestCommand,
  },
  {
    name: "doctor",
    aliases: [],
    summary: "list the programs and kernel features seal needs on this machine, and how to install what is missing",
    load: async () => (await import("./doctor/command.ts")).doctorCommand,
  },
  {
    name: "version",
    aliases: [],
    summary: "print the version; with --verbose also the commit, the runtime and the known bootc releases",
    load: async () => (await import("./version-verb.ts")).versionCommand,
  },
  {
    name: "config",
    aliases: [],
    summary: "show the effective options and where each comes from: command line, environment, seal.toml",
    load: async () => (await import("./config/command.ts")).configCommand(VERBS),
  },
  {
    name: "completion",
    aliases: [],
    summary: "print a completion script for bash, zsh or fish",
    load: async () => (await import("./completion/command.ts")).completionCommand(VERBS),
  },
];
