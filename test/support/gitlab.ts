/**
 * Reads a GitLab component as GitLab does: a header with inputs, and a configuration that their values are put into.
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { z } from "zod";

const headerSchema = z.object({
  spec: z.object({ inputs: z.record(z.string(), z.object({ default: z.string().optional() })) }),
});
const jobSchema = z.object({
  variables: z.record(z.string(), z.object({ value: z.string(), expand: z.boolean() })),
  script: z.array(z.string()),
  artifacts: z.object({ paths: z.array(z.string()) }),
});
export type Job = z.infer<typeof jobSchema>;

export class Component {
  /** As it was written. */
  readonly header: unknown;
  readonly #inputs;
  readonly #configuration: unknown;

  constructor(text: string) {
    const [header, configuration, ...more] = parseAllDocuments(text).map((one) => one.toJS());
    if (configuration === undefined || more.length > 0) throw new Error("not a header and a configuration");
    this.header = header;
    this.#inputs = headerSchema.parse(header).spec.inputs;
    this.#configuration = configuration;
  }

  /** The configuration with inputs put in, in names and values. @throws Error for inputs that there are not */
  configure(inputs: Readonly<Record<string, string>> = {}): unknown {
    const stray = Object.keys(inputs).filter((name) => this.#inputs[name] === undefined);
    if (stray.length > 0) throw new Error(`no inputs ${stray.join(", ")}`);
    const fill = (text: string) =>
      text.replace(/\$\[\[ inputs\.([a-z0-9_-]+) \]\]/g, (_, name: string) => {
        const value = inputs[name] ?? this.#inputs[name]?.default;
        if (value === undefined) throw new Error(`no input ${name}`);
        return value;
      });
    const walk = (value: unknown): unknown => {
      if (typeof value === "string") return fill(value);
      if (Array.isArray(value)) return value.map(walk);
      if (typeof value !== "object" || value === null) return value;
      return Object.fromEntries(Object.entries(value).map(([name, one]) => [fill(name), walk(one)]));
    };
    return walk(this.#configuration);
  }

  job(name: string, inputs: Readonly<Record<string, string>>): Job {
    const jobs = z.record(z.string(), z.unknown()).parse(this.configure({ ...inputs, job: name }));
    return jobSchema.parse(jobs[name]);
  }
}

/**
 * Runs the script of a job as the shell executor does, in a directory.
 * @param env what the project and the image set
 */
export function runJob({ variables, script }: Job, cwd: string, env: Readonly<Record<string, string>>) {
  const file = join(cwd, "..", "job.sh");
  writeFileSync(file, `set -eo pipefail\n${script.join("\n")}\n`);
  const own = Object.fromEntries(Object.entries(variables).map(([name, { value }]) => [name, value]));
  const { status, stdout, stderr } = spawnSync("bash", [file], { cwd, env: { ...own, ...env }, encoding: "utf8" });
  return { status, log: `${stdout}${stderr}` };
}
