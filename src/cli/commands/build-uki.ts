/** `seal build-uki`: assembles a Unified Kernel Image from a kernel, initrds and a command line, as `ukify build` does. */
import { basename } from "node:path";
import { z } from "zod";
import { architectureProblem, treeUki } from "../../boot/tree-uki.ts";
import { SealError } from "../../errors.ts";
import { writeOutput } from "../../io/files.ts";
import type { UkiInputs } from "../../pe/uki-sections.ts";
import { buildUki } from "../../seal.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { loadSigning, SIGNING_OPTIONS, signingShape } from "../options/signing.ts";
import { UKI_OPTIONS, ukiFields } from "../options/uki.ts";
import { UKI_ROOTFS_OPTIONS, ukiRootfsFields } from "../options/uki-rootfs.ts";
import { collectUkifyInputs } from "../uki-inputs.ts";
import { ukiReport, ukiSummary } from "../uki-report.ts";

const schema = z.object({
  ...ukiFields,
  ...ukiRootfsFields,
  action: z.literal("build", "seal builds; leave it out, or see seal --help for other verbs").optional(),
  ...signingShape,
  signKernel: z.boolean().optional(),
  signtool: z.enum(["sbsign", "systemd-sbsign"], "seal signs itself, as sbsign and systemd-sbsign do").optional(),
  output: z.string().min(1, "give a path").optional(),
  json: z.boolean().default(false),
});
type Options = z.infer<typeof schema>;

export const buildUkiCommand = defineCommand<Options>({
  examples: [
    [
      "--linux vmlinuz --initrd initramfs.img --cmdline 'root=LABEL=root rw' --output linux.efi",
      "a UKI for this machine's architecture, with the stub of the installed systemd",
    ],
    ["--linux vmlinuz --stub linuxaa64.efi.stub --os-release @rootfs/usr/lib/os-release", "for arm64, on any machine"],
    ["--linux vmlinuz --initrd initramfs.img --key db.key --cert db.crt", "signed, and the kernel inside too"],
    ["--rootfs /target --output uki.efi", "from a root filesystem, with its composefs digest on the command line"],
    ["--cmdline 'console=ttyS0' --output serial.addon.efi", "an addon: no kernel, only a command line"],
  ],
  arguments: [{ name: "[action]", description: "build, as ukify spells it; may be left out" }],
  options: [
    ...UKI_ROOTFS_OPTIONS,
    ...UKI_OPTIONS,
    ...SIGNING_OPTIONS,
    {
      flags: "--sign-kernel",
      description: "sign the kernel inside too",
      group: "Signing",
      default: "when there is a key, and the kernel has no signature",
    },
    { flags: "--no-sign-kernel", description: "take the kernel as it is", group: "Signing" },
    { flags: "--signtool <tool>", description: "accepted because ukify has it", hidden: true },
    {
      flags: "-o, --output <file>",
      description: "where the result goes",
      group: "Output",
      default: "NAME.unsigned.efi for a kernel NAME, NAME.efi when signed",
      complete: "file",
    },
    { flags: "--json", description: "print sections and hashes as JSON", group: "Output" },
  ],
  schema,
  run: buildUkiVerb,
});

async function buildUkiVerb(context: Context, options: Options): Promise<0> {
  if (options.signKernel === true && options.key === undefined) {
    throw new SealError("usage", "--sign-kernel: goes with --key");
  }
  const signing = await loadSigning(context, options, options.signKernel ?? null);
  const inputs = await collectInputs(context, options);
  const output = options.output ?? defaultOutput(options, inputs);
  // ukify builds it all the same; from a root filesystem it has been refused already.
  const problem = architectureProblem(inputs.stub, inputs.kernel);
  if (problem !== null) context.ui.warn(`${problem}; the UKI will not start`);

  const uki = await buildUki(inputs, output, signing);
  for (const warning of uki.warnings) context.ui.warn(warning);
  const report = options.json ? ukiReport(uki, output) : null;
  await writeOutput(userPath(context, output), uki.pe.file);
  context.ui.note(ukiSummary(uki));
  if (report === null) printLine(context, output);
  else printJson(context, report);
  return 0;
}

async function collectInputs(context: Context, options: Options): Promise<UkiInputs> {
  if (options.rootfs !== undefined) {
    // Only here is a root filesystem read; ukify's own mode starts faster without.
    const { collectRootfsInputs } = await import("../uki-inputs-rootfs.ts");
    const { rootfs, treeOptions } = await collectRootfsInputs(context, options, options.rootfs);
    const { inputs, warnings } = await treeUki(rootfs, treeOptions);
    for (const warning of warnings) context.ui.warn(warning);
    return inputs;
  }
  const { kernelDir, kver, karg, kargsD, digest, allowMissingVerity } = options;
  const given = { "--kernel-dir": kernelDir, "--kver": kver, "--karg": karg[0], "--digest": digest };
  const name = Object.entries(given).find(([, value]) => value !== undefined)?.[0];
  const flag = name ?? (kargsD ? null : "--no-kargs-d") ?? (allowMissingVerity ? "--allow-missing-verity" : null);
  if (flag !== null) throw new SealError("usage", `${flag}: goes with --rootfs`);
  return collectUkifyInputs(context, options);
}

function defaultOutput(options: Options, inputs: UkiInputs): string {
  const name = options.linux === undefined ? inputs.kernel && inputs.uname : basename(options.linux);
  if (name === null) throw new SealError("usage", "--output: give one; an addon has no kernel to be named after");
  return `${name}${options.key === undefined ? ".unsigned" : ""}.efi`;
}
