import { isRead } from "../boot-programs.ts";
import { formatMebibytes } from "../files.ts";
import { checked, notApplicable, type Rule } from "../rule.ts";

/** The size that many installers give the ESP, in bytes. */
const ESP_BYTES = 512 * 2 ** 20;
/** The running version, the one to roll back to, and the one that an update brings. */
const VERSIONS = 3;

export const ukiSizeRule: Rule = {
  id: "uki-size",
  severity: "warning",
  finds: "a UKI larger than what the ESP usually has room for",
  applies: "sealed",
  check: async (context) => {
    const ukis = (await context.ukis()).filter(isRead);
    if (ukis.length === 0) return notApplicable("there is no UKI that can be read");
    return checked(
      ...ukis
        .map(({ path, pe }) => ({ path, length: pe.length, fit: Math.floor(ESP_BYTES / pe.length) }))
        .filter(({ fit }) => fit < VERSIONS)
        .map(({ path, length, fit }) => ({
          path,
          message: `It is ${formatMebibytes(length)}; an ESP of 512 MiB has room for ${fit === 0 ? "none" : fit} of that size, and an update needs room for ${VERSIONS}.`,
          fix: "make the initramfs smaller (fewer drivers, zstd), or plan an ESP of 1 GiB or more.",
        })),
    );
  },
};
