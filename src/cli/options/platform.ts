/** Which image of several is read. */
import { z } from "zod";
import type { OptionSpec } from "../command.ts";

export const PLATFORM_OPTION: OptionSpec = {
  flags: "--platform <os/arch>",
  description: "which image of a multi-platform image is read, os/architecture[/variant]",
  default: "linux on this machine's architecture",
  group: "Image",
  complete: ["linux/amd64", "linux/arm64", "linux/riscv64", "linux/s390x", "linux/ppc64le"],
};

/** Zod field for {@link PLATFORM_OPTION}. */
export const platformShape = { platform: z.string().optional() };
