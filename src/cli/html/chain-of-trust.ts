/** The chain of trust as a list of steps, each with what vouches for it. */
import { shortDigest } from "../../text.ts";
import { type Html, type HtmlValue, html } from "./markup.ts";
import { code, type Mark, sign } from "./parts.ts";

/** One step: a program, or what a program names. */
interface Step {
  readonly name: string;
  readonly mark: Mark;
  /** Who vouches for it, in a sentence. */
  readonly text: string;
  readonly details: readonly HtmlValue[];
}

/** A program that firmware has to accept. */
export interface SignedPart {
  readonly name: string;
  /** Who signed it; empty: no one. */
  readonly signers: readonly string[];
  /** Why a signature is not good; null: all are, as far as is known. */
  readonly problem: string | null;
}

/** Whether a signature vouches for each of the programs, as far as is known. */
export function areSigned(parts: readonly SignedPart[]): boolean {
  return parts.every(({ signers, problem }) => signers.length > 0 && problem === null);
}

/** What is known of a boot path. */
export interface ChainFacts {
  readonly loaders: readonly SignedPart[];
  readonly ukis: readonly SignedPart[];
  readonly digests: readonly {
    readonly erofs: string | null;
    readonly algorithm: string;
    readonly digest: string;
    readonly insecure: boolean;
  }[];
  /** Whether the initramfs insists on fs-verity; null: not known. */
  readonly enforced: boolean | null;
}

/** Firmware, boot loader, UKI, command line, root filesystem: what signs or names what. */
export function chainOfTrust({ loaders, ukis, digests, enforced }: ChainFacts): Html {
  const signers = [...new Set([...loaders, ...ukis].flatMap((part) => part.signers))];
  const insecure = digests.some((one) => one.insecure);
  const steps: Step[] = [
    {
      name: "Firmware",
      mark: signers.length > 0 ? "good" : "bad",
      text:
        signers.length > 0
          ? "must have this certificate in db"
          : "nothing is signed: firmware with Secure Boot does not start it",
      details: signers,
    },
    ...(loaders.length === 0
      ? [
          {
            name: "Boot loader",
            mark: "open",
            text: "none here; firmware may start a different one",
            details: [],
          } as const,
        ]
      : signedSteps("Boot loader", loaders)),
    ...(ukis.length === 0
      ? [{ name: "UKI", mark: "bad", text: "none: nothing is sealed", details: [] } as const]
      : signedSteps("UKI", ukis)),
    {
      name: "Command line",
      mark: digests.length === 0 ? "bad" : insecure ? "open" : "good",
      text:
        digests.length === 0
          ? "names no composefs digest"
          : insecure
            ? "names a digest with ?: it is not enforced"
            : "is in the UKI and names the root filesystem",
      details: digests.map(
        ({ erofs, algorithm, digest }) =>
          html`${[erofs, algorithm].filter((word) => word !== null).join(" ")} ${code(shortDigest(digest, 12))}`,
      ),
    },
    {
      name: "Root filesystem",
      mark: digests.length === 0 ? "bad" : insecure ? "bad" : enforced === null ? "open" : enforced ? "good" : "bad",
      text:
        digests.length === 0
          ? "nothing vouches for it"
          : insecure
            ? "is mounted without a check"
            : enforced === null
              ? "has that digest; whether the initramfs requires fs-verity is unknown"
              : enforced
                ? "each file is checked against the digest when it is read"
                : "has that digest, but the initramfs does not always require fs-verity",
      details: [],
    },
  ];
  return html`<ol class="chain">${steps.map(stepOf)}</ol>`;
}

/** A step for all programs of a kind that are signed alike: they are mostly copies of one. */
function signedSteps(name: string, parts: readonly SignedPart[]): Step[] {
  const groups = Map.groupBy(parts, ({ signers, problem }) => JSON.stringify([signers, problem]));
  return [...groups.values()].flatMap((group): Step[] => {
    const [first] = group;
    if (first === undefined) return [];
    const { signers, problem } = first;
    const text = problem ?? (signers.length === 0 ? "not signed" : `signed by ${signers.join(", ")}`);
    const mark = problem !== null || signers.length === 0 ? "bad" : "good";
    return [{ name, mark, text, details: group.map((part) => code(part.name)) }];
  });
}

function stepOf({ name, mark, text, details }: Step): Html {
  return html`<li class="${mark}"><h3>${name}</h3><p class="${mark}">${sign(mark)} ${text}</p>${details.map((detail) => html`<p class="dim">${detail}</p>`)}</li>
`;
}
