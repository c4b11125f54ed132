/** `seal build-uki`: assembles a Unified Kernel Image from a kernel, initrds and a command line, as `ukify build` does. */
import { basename } from "node:path";
import { z } from "zod";
import { SealError } from "../../errors.ts";
import { writeOutput } from "../../io/files.ts";
import { sourceDate } from "../../io/host.ts";
import { defineCommand } from "../command.ts";
import { type Context, printJson, printLine, userPath } from "../context.ts";
import { loadSigner, SIGNING_OPTIONS, signingShape } from "../options/signing.ts";
import { UKI_OPTIONS, ukiFields } from "../options/uki.ts";
import { architectureProblem, buildUki, type UkiSigning, ukiReport, ukiSummary } from "../uki-build.ts";
import { collectUkifyInputs } from "../uki-inputs.ts";

const schema = z.object({
  ...ukiFields,
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
    ["--cmdline 'console=ttyS0' --output serial.addon.efi", "an addon: no kernel, only a command line"],
  ],
  arguments: [{ name: "[action]", description: "build, as ukify spells it; may be left out" }],
  options: [
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
    { flags: "--json", description: "report sections and hashes as JSON", group: "Output" },
  ],
  schema,
  run: buildUkiVerb,
});

async function buildUkiVerb(context: Context, options: Options): Promise<0> {
  const output = options.output ?? defaultOutput(options);
  const signing = await ukiSigning(context, options);
  const inputs = await collectUkifyInputs(context, options);
  const problem = architectureProblem(inputs);
  if (problem !== null) context.ui.warn(`${problem}; the UKI will not start`);

  const uki = await buildUki(context, inputs, output, signing);
  await writeOutput(userPath(context, output), uki.pe.file);
  context.ui.note(ukiSummary(uki));
  if (options.json) printJson(context, ukiReport(uki, output));
  else printLine(context, output);
  return 0;
}

async function ukiSigning(context: Context, options: Options): Promise<UkiSigning | null> {
  const { key, cert, signKernel } = options;
  if (key === undefined) {
    if (cert !== undefined) throw new SealError("usage", "--cert: goes with --key");
    if (signKernel === true) throw new SealError("usage", "--sign-kernel: goes with --key");
    return null;
  }
  return {
    signer: await loadSigner(context, options),
    time: sourceDate(context.host.env),
    kernel: signKernel ?? null,
  };
}

function defaultOutput(options: Options): string {
  if (options.linux === undefined)
    throw new SealError("usage", "--output: give one; an addon has no kernel to be named after");
  return `${basename(options.linux)}${options.key === undefined ? ".unsigned" : ""}.efi`;
}
