/** `seal boot-test`: how far it came and when, what the system says of its root, the PCRs, the end of the console. */
import { STEP_NAMES, summarize } from "../boot-test/report.ts";
import type { BootTestReport } from "../boot-test/schema.ts";
import { formatSeconds } from "../terminal/report.ts";
import { type Html, html } from "./markup.ts";
import { code, facts, folded, list, markOf, type Page, sign, table } from "./parts.ts";

/** @param hint what to do about it; null: nothing */
export function bootPage(report: BootTestReport, hint: string | null): Page {
  const { boot, passed, stages, seconds, root, image, pcrs, log } = report;
  return {
    subject: boot,
    kind: "Boot test",
    verdict: { mark: markOf(passed), text: summarize(report) },
    sections: [
      { title: "Stages", body: timeLine(stages, seconds) },
      ...(hint === null ? [] : [{ title: "What to do", body: html`<p>${hint}</p>` }]),
      {
        title: "Machine",
        body: facts([
          [
            "Secure Boot",
            { enrolled: "on, keys enrolled before", setup: "keys enrolled by systemd-boot", off: "off" }[
              report.secureBoot as string
            ] ?? report.secureBoot,
          ],
          ["Accelerator", report.accelerator],
          ...(report.expect === null ? [] : [["Expected text", code(report.expect)] as const]),
          ...(root === null
            ? []
            : [
                [
                  "Root filesystem",
                  html`${sign(markOf(root.enforced), root.enforced ? "enforced" : "not enforced")} ${root.enforced ? "fs-verity is enforced" : "fs-verity is not enforced"} &middot; ${root.type} &middot; ${root.options.join(",")}`,
                ] as const,
              ]),
          ...(root?.digest == null ? [] : [["Digest that runs", code(root.digest)] as const]),
          ...(image === null
            ? []
            : [
                ["Digests that the UKIs demand", list(image.demanded.map(code))] as const,
                ["Digests on the disk", list(image.stored.map(code))] as const,
              ]),
        ]),
      },
      ...(pcrs === null
        ? []
        : [
            {
              title: "PCRs",
              body: table(
                "PCRs at the end",
                ["PCR", "As computed", "Phase", "Value (SHA-256)", "Computed"],
                pcrs.map(({ pcr, value, expected, matches, phase }) => [
                  `PCR ${pcr}`,
                  matches === null ? "not computed" : sign(markOf(matches)),
                  phase,
                  code(value),
                  expected === null ? "" : code(expected),
                ]),
              ),
            },
          ]),
      ...(log.length === 0
        ? []
        : [{ title: "Console", body: folded(`the last ${log.length} lines`, html`<pre>${log.join("\n")}</pre>`) }]),
    ],
  };
}

/** Each stage as a bar up to the second at which it was first seen. */
function timeLine(stages: BootTestReport["stages"], seconds: number): Html {
  const whole = Math.max(seconds, 0.1);
  return html`<ol class="time">${stages.map(
    ({ stage, seconds: at }) =>
      html`<li><span>${STEP_NAMES[stage]}</span><span class="track" aria-hidden="true"><i style="width:${Math.min(100, (100 * at) / whole).toFixed(1)}%"></i></span><span class="seconds">${formatSeconds(at)}</span></li>
`,
  )}</ol>`;
}
