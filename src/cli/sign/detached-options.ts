/** The options of `seal sign` for keys that are offline: each is one step of signing, and excludes the others. */
import { type GroupValues, optionGroup } from "../options/group.ts";
import { path } from "../options/option.ts";
import { writes } from "../options/risk.ts";

/** With a key that is at hand there is nothing to do in two steps. */
const ELSEWHERE = {
  key: "cannot be combined with --key: the key is elsewhere",
  signer: "cannot be combined with --signer: the key is elsewhere",
};
const STEPS = ["exportTbs", "exportRequest", "attachSignature", "attachPkcs7"];

export const detachedOptions = optionGroup("Signing in two steps", {
  exportTbs: path({
    risk: writes,
    help: "write what the key must sign to this file (DER of the signed attributes), and sign nothing",
  }),
  exportRequest: path({
    risk: writes,
    help: "write a request for osslsigncode sign to this file (PKCS#7 without signature), and sign nothing",
  }),
  attachSignature: path({ help: "attach this raw RSA signature of the exported data" }),
  tbs: path({
    help: "the exported data that was signed, also from pesign -E",
    shownDefault: "recomputed with the same --signing-time",
    requires: { anyOf: ["attachSignature"], problem: "requires --attach-signature" },
  }),
  attachPkcs7: path({
    help: "attach this complete signature, PKCS#7 in DER or PEM; with --cert, only if made by that certificate",
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
