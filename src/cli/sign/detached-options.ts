/** The options of `seal sign` for keys that are offline: each is one step of signing, and goes with no other. */
import { type GroupValues, optionGroup } from "../options/group.ts";
import { path } from "../options/option.ts";
import { writes } from "../options/risk.ts";

/** With a key that is at hand there is nothing to do in two steps. */
const ELSEWHERE = {
  key: "goes without --key; the key is elsewhere",
  signer: "goes without --signer; the key is elsewhere",
};
const STEPS = ["exportTbs", "exportRequest", "attachSignature", "attachPkcs7"];

export const detachedOptions = optionGroup("Signing in two steps", {
  exportTbs: path({
    risk: writes,
    help: "write what the key must sign here (DER of the signed attributes), and sign nothing",
  }),
  exportRequest: path({
    risk: writes,
    help: "write a request for osslsigncode sign here (PKCS#7 without signature), and sign nothing",
  }),
  attachSignature: path({ help: "attach this raw RSA signature over what was exported" }),
  tbs: path({
    help: "what it is over: the exported file, also one of pesign -E",
    shownDefault: "made again, with the same --signing-time",
    requires: { anyOf: ["attachSignature"], problem: "goes with --attach-signature only" },
  }),
  attachPkcs7: path({
    help: "attach this whole signature, PKCS#7 in DER or PEM; with --cert only if it is by that one",
  }),
})
  .each({ excludes: STEPS }, { except: ["tbs"] })
  .each({ excludes: ELSEWHERE }, { except: ["tbs"] });

/** One step, with the paths that it needs. */
export type DetachedStep =
  | { readonly kind: "export-tbs"; readonly to: string }
  | { readonly kind: "export-request"; readonly to: string }
  | { readonly kind: "attach-signature"; readonly from: string; readonly tbs: string | undefined }
  | { readonly kind: "attach-pkcs7"; readonly from: string };

/** The step that the options ask for; null: none, the key is at hand. */
export function detachedStep(options: GroupValues<typeof detachedOptions>): DetachedStep | null {
  const { exportTbs, exportRequest, attachSignature, attachPkcs7, tbs } = options;
  if (exportTbs !== undefined) return { kind: "export-tbs", to: exportTbs };
  if (exportRequest !== undefined) return { kind: "export-request", to: exportRequest };
  if (attachSignature !== undefined) return { kind: "attach-signature", from: attachSignature, tbs };
  return attachPkcs7 === undefined ? null : { kind: "attach-pkcs7", from: attachPkcs7 };
}
