import { ADDON_SUFFIX, GLOBAL_ADDONS } from "../../boot/addons.ts";
import { type ProgramKind, programKind } from "../../boot/efi-program.ts";
import { loaderInfo } from "../../pe/loader-info.ts";
import { isRead, type ReadProgram } from "../boot-programs.ts";
import { quote } from "../files.ts";
import { checked, type Problem, type Rule } from "../rule.ts";

export const notAUkiRule: Rule = {
  id: "not-a-uki",
  severity: "error",
  finds: "a program in EFI/Linux that is not a UKI",
  applies: "sealed",
  check: async (context) => {
    const misplaced = (await context.programs()).filter(({ role }) => role === "misplaced").filter(isRead);
    return checked(...misplaced.map(problemOf));
  },
};

/** What it is, and where it belongs. */
const KINDS: Readonly<Record<Exclude<ProgramKind, "uki" | "other">, { readonly what: string; readonly fix: string }>> =
  {
    addon: {
      what: "an addon",
      fix: `call it NAME${ADDON_SUFFIX} and move it to the .extra.d directory of its UKI, or to boot/${GLOBAL_ADDONS}.`,
    },
    "boot-guard": {
      what: "a unified kernel of EFI Boot Guard (.kernel), which only EFI Boot Guard starts",
      fix: "make a UKI of its kernel with seal rootfs or seal build-uki.",
    },
    kernel: {
      what: "a bare Linux kernel",
      fix: "make a UKI of it with seal rootfs or seal build-uki, and remove it here.",
    },
  };

function problemOf({ path, pe }: ReadProgram): Problem {
  const kind = programKind(pe);
  const program = loaderInfo(pe);
  const { what, fix } =
    kind === "uki" || kind === "other"
      ? {
          what: program === null ? "another EFI program" : quote(program),
          fix: "move it to another directory below boot/EFI: boot loaders to EFI/systemd or EFI/BOOT, tools to EFI/tools.",
        }
      : KINDS[kind];
  return {
    path,
    message: `It is not a UKI (it has no section .linux), but ${what}: systemd-boot does not list it, and bootc, which takes every *.efi in EFI/Linux for a UKI, refuses the image.`,
    fix,
  };
}
