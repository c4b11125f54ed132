/** `--html`, which verbs with a report for people share, and the writing of its page. */
import { checkOutput, writeOutput } from "../../io/files.ts";
import { type Context, userPath } from "../context.ts";
import type { Page } from "../html/parts.ts";
import { type GroupValues, optionGroup } from "./group.ts";
import { path } from "./option.ts";
import { writes } from "./risk.ts";

export const htmlOptions = optionGroup("Output", {
  html: path({
    risk: writes,
    help: "also write the report to this file as a self-contained HTML page",
  }),
});
export type HtmlOptions = GroupValues<typeof htmlOptions>;

/** Looks whether the page can be written, before much work is done for it. @throws SealError `input` when it can't */
export async function checkPage(context: Context, { html }: HtmlOptions): Promise<void> {
  if (html !== undefined) await checkOutput(userPath(context, html));
}

/** Writes the page, where one is wanted. @param make the reports in it; what pages are made with is loaded only then */
export async function writePage(
  context: Context,
  { html }: HtmlOptions,
  make: () => Promise<readonly [Page, ...Page[]]>,
): Promise<void> {
  if (html === undefined) return;
  const { renderPage } = await import("../html/page.ts");
  await writeOutput(userPath(context, html), [Buffer.from(renderPage(await make()))]);
}
