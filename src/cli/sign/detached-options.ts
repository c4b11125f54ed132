/** The options of `seal sign` for keys that are offline: each is one step of signing, and goes with no other. */
import { z } from "zod";
import { SealError } from "../../errors.ts";
import type { OptionSpec } from "../command.ts";

const GROUP = "Signing in two steps";

export const DETACHED_OPTIONS: readonly OptionSpec[] = [
  {
    flags: "--export-tbs <file>",
    description: "write what the key must sign here (DER of the signed attributes), and sign nothing",
    group: GROUP,
    complete: "file",
  },
  {
    flags: "--export-request <file>",
    description: "write a request for osslsigncode sign here (PKCS#7 without signature), and sign nothing",
    group: GROUP,
    complete: "file",
  },
  {
    flags: "--attach-signature <file>",
    description: "attach this raw RSA signature over what was exported",
    group: GROUP,
    complete: "file",
  },
  {
    flags: "--tbs <file>",
    description: "what it is over: the exported file, also one of pesign -E",
    group: GROUP,
    default: "made again, with the same --signing-time",
    complete: "file",
  },
  {
    flags: "--attach-pkcs7 <file>",
    description: "attach this whole signature, PKCS#7 in DER or PEM; with --cert only if it is by that one",
    group: GROUP,
    complete: "file",
  },
];

const file = z.string().min(1, "give a file").optional();

/** The fields of {@link DETACHED_OPTIONS} in the verb's schema. */
export const detachedShape = {
  exportTbs: file,
  exportRequest: file,
  attachSignature: file,
  tbs: file,
  attachPkcs7: file,
};

/** One step, with the paths that it needs. */
export type DetachedStep =
  | { readonly kind: "export-tbs"; readonly to: string }
  | { readonly kind: "export-request"; readonly to: string }
  | { readonly kind: "attach-signature"; readonly from: string; readonly tbs: string | undefined }
  | { readonly kind: "attach-pkcs7"; readonly from: string };

const schema = z.object(detachedShape);
type Options = z.infer<typeof schema> & { readonly key?: string | undefined; readonly signer?: string | undefined };

/**
 * The step that the options ask for; null: none, the key is at hand.
 * @throws SealError `usage` for several, or one together with a key
 */
export function detachedStep(options: Options): DetachedStep | null {
  const { exportTbs, exportRequest, attachSignature, attachPkcs7, tbs } = options;
  const steps: DetachedStep[] = [];
  if (exportTbs !== undefined) steps.push({ kind: "export-tbs", to: exportTbs });
  if (exportRequest !== undefined) steps.push({ kind: "export-request", to: exportRequest });
  if (attachSignature !== undefined) steps.push({ kind: "attach-signature", from: attachSignature, tbs });
  if (attachPkcs7 !== undefined) steps.push({ kind: "attach-pkcs7", from: attachPkcs7 });
  const [step, second] = steps;
  if (tbs !== undefined && step?.kind !== "attach-signature") {
    throw new SealError("usage", "--tbs: goes with --attach-signature only");
  }
  if (step === undefined) return null;
  if (second !== undefined) throw new SealError("usage", `--${step.kind} and --${second.kind}: give one of them`);
  const rival = options.key !== undefined ? "--key" : options.signer !== undefined ? "--signer" : null;
  if (rival !== null) throw new SealError("usage", `--${step.kind}: goes without ${rival}; the key is elsewhere`);
  return step;
}
