/** The machines of `seal lint --after`: what they run, and what their firmware knows. */
import type { Series, VerityAlgorithm } from "../../composefs/series.ts";
import { createContext, type InstalledMachine } from "../../lint/context.ts";
import { LayerHistory } from "../../lint/layer-history.ts";
import { joinDatabases, type SignatureDatabase } from "../../sign/database.ts";
import type { TransformRules } from "../../tree/transform.ts";
import type { Context } from "../context.ts";
import { readDatabases } from "../options/trust.ts";
import type { TargetOptions } from "./options.ts";
import { scan } from "./scan.ts";

/** The machines of `--after`; null without it. */
export async function openMachine(
  context: Context,
  options: TargetOptions,
  firmware: Pick<InstalledMachine, "db" | "dbx">,
  seriesList: readonly [Series, ...Series[]],
): Promise<InstalledMachine | null> {
  const { after: source, platform } = options;
  if (source === undefined) return null;
  const read = async (algorithm: VerityAlgorithm | null, paxOwners: TransformRules["paxOwners"]) => {
    const { rootfs } = await scan(context, options, source, {
      algorithm,
      paxOwners,
      observer: new LayerHistory(),
      platform,
    });
    return rootfs;
  };
  // What its files hash to is asked of the next image only.
  const runs = createContext(await read(null, seriesList[0].rules.paxOwners), {
    certificates: [],
    mustBeSealed: false,
    now: context.process.now(),
    seriesList,
    sbatLevel: null,
    rootfsFor: read,
    image: null,
    after: null,
  });
  return { subject: source.subject, runs, ...firmware, seriesList: options.bootc.length === 0 ? null : seriesList };
}

/** A variable as files say that firmware has it; null: there are none that say. */
export async function readVariable(context: Context, files: readonly string[]): Promise<SignatureDatabase | null> {
  return files.length === 0 ? null : ((await readDatabases(context, files)) ?? joinDatabases([]));
}
