/**
 * Runs the steps of a Tekton Task in order, each in a tree of its own image as its container would have it: with the
 * workspaces, volumes and results at the paths where Tekton mounts them, the script as a file, variables of the Task
 * replaced and nothing of this machine's environment.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { tempDir } from "./temp.ts";

const named = z.object({ name: z.string() });
const variable = z.object({ name: z.string(), value: z.string() });
const mounts = z.array(z.object({ name: z.string(), mountPath: z.string() })).default([]);
const taskSchema = z.object({
  kind: z.literal("Task"),
  metadata: named,
  spec: z.object({
    params: z.array(named.extend({ default: z.string().optional() })).default([]),
    workspaces: z.array(named.extend({ readOnly: z.boolean().default(false) })).default([]),
    results: z.array(named).default([]),
    volumes: z.array(named).default([]),
    stepTemplate: z.object({ workingDir: z.string().optional(), volumeMounts: mounts }).optional(),
    steps: z.array(
      z.object({
        name: z.string(),
        image: z.string(),
        env: z.array(variable).default([]),
        args: z.array(z.string()).default([]),
        volumeMounts: mounts,
        workspaces: z.array(named).default([]),
        script: z.string(),
      }),
    ),
  }),
});
export type Task = z.infer<typeof taskSchema>;
type Step = Task["spec"]["steps"][number];

/** The Task of that name in a file of Kubernetes objects. */
export function readTask(file: string, name: string): Task {
  const objects = parseAllDocuments(readFileSync(file, "utf8")).map((document) =>
    taskSchema.safeParse(document.toJS()),
  );
  const found = objects.flatMap(({ data }) => data ?? []).find((task) => task.metadata.name === name);
  if (found === undefined) throw new Error(`${file}: no Task ${name}`);
  return found;
}

export interface TaskInputs {
  readonly params: Readonly<Record<string, string | readonly string[]>>;
  /** Directories below `/tmp`, by the name of the workspace. */
  readonly workspaces: Readonly<Record<string, string>>;
  /** Directories that make up the tree of an image, the uppermost first. */
  readonly treeOf: (image: string) => readonly string[];
}

export interface TaskOutcome {
  readonly results: ReadonlyMap<string, string>;
  /** The step that failed, behind which none was run. */
  readonly failed: string | null;
  readonly log: string;
}

const RESULTS = "/tekton/results";
/**
 * $1: tree, $2: its directories for overlayfs, $3: working directory; then pairs of `rw|ro:FROM` and path until
 * `--`; then the command.
 */
const CONTAINER = `set -eu
root=$1 dir=$3
mount -t overlay overlay -o "$2" "$root"
for d in dev proc sys; do mount --rbind "/$d" "$root/$d"; done
shift 3
while [ "$1" != -- ]; do
  mkdir -p "$root$2" && mount --bind "\${1#r?:}" "$root$2"
  case $1 in ro:*) mount -o remount,bind,ro "$root$2" ;; esac
  shift 2
done
shift
exec chroot "$root" /usr/bin/env -i --chdir="$dir" PATH=/usr/bin:/bin:/usr/sbin:/sbin HOME=/tekton/home "$@"`;

/** Runs a Task until a step fails. @throws Error for a variable that the Task has not */
export function runTask({ spec }: Task, { params, workspaces, treeOf }: TaskInputs): TaskOutcome {
  const directory = tempDir();
  const made = (name: string) => {
    const path = join(directory, name);
    mkdirSync(path, { recursive: true });
    return path;
  };
  const values = new Map<string, string>();
  const lists = new Map<string, readonly string[]>();
  for (const { name, default: otherwise } of spec.params) {
    const value = params[name] ?? otherwise;
    if (value === undefined) throw new Error(`no parameter ${name}`);
    if (typeof value === "string") values.set(`params.${name}`, value);
    else lists.set(`params.${name}[*]`, value);
  }
  for (const { name } of spec.workspaces) values.set(`workspaces.${name}.path`, `/workspace/${name}`);
  for (const { name } of spec.results) values.set(`results.${name}.path`, `${RESULTS}/${name}`);
  const fill = (text: string) =>
    // What a shell runs is written the same way, and has no dot in its name.
    text.replace(/\$\(((?:params|workspaces|results|context|steps|tasks)\.[^)]+)\)/g, (_, name: string) => {
      const value = values.get(name);
      if (value === undefined) throw new Error(`no variable ${name}`);
      return value;
    });
  // A workspace that any step names is in those steps only that do.
  const isolated = new Set(spec.steps.flatMap((step) => step.workspaces.map(({ name }) => name)));
  const seenBy = (step: Step) =>
    spec.workspaces
      .filter(({ name }) => !isolated.has(name) || step.workspaces.some((one) => one.name === name))
      .flatMap(({ name, readOnly }) => {
        const from = workspaces[name];
        if (from === undefined) throw new Error(`no workspace ${name}`);
        return [`${readOnly ? "ro" : "rw"}:${from}`, `/workspace/${name}`];
      });
  const always = [`rw:${made("results")}`, RESULTS, `rw:${made("home")}`, "/tekton/home"];
  let log = "";
  let failed: string | null = null;
  for (const step of spec.steps) {
    const script = join(made(`${step.name}/scripts`), step.name);
    writeFileSync(script, step.script.startsWith("#!") ? fill(step.script) : `#!/bin/sh\nset -e\n${fill(step.script)}`);
    chmodSync(script, 0o755);
    const volumes = [...(spec.stepTemplate?.volumeMounts ?? []), ...step.volumeMounts].flatMap(
      ({ name, mountPath }) => {
        if (!spec.volumes.some((volume) => volume.name === name)) throw new Error(`no volume ${name}`);
        return [`rw:${made(`volumes/${name}`)}`, mountPath];
      },
    );
    const layers = `lowerdir=${treeOf(fill(step.image)).join(":")},upperdir=${made(`${step.name}/upper`)},workdir=${made(`${step.name}/work`)}`;
    const result = spawnSync(
      "unshare",
      [
        ...["--mount", "--propagation", "private", "sh", "-c", CONTAINER, step.name, made(`${step.name}/root`), layers],
        ...[fill(spec.stepTemplate?.workingDir ?? "/"), ...seenBy(step), ...always, ...volumes],
        ...[`ro:${join(directory, step.name, "scripts")}`, "/tekton/scripts", "--"],
        ...step.env.map(({ name, value }) => `${name}=${fill(value)}`),
        `/tekton/scripts/${step.name}`,
        ...step.args.flatMap((arg) => lists.get(arg.replace(/^\$\((.*)\)$/, "$1")) ?? [fill(arg)]),
      ],
      { encoding: "utf8", maxBuffer: 1 << 28 },
    );
    log += `# ${step.name}\n${result.stdout}${result.stderr}`;
    if (result.status === 0) continue;
    failed = step.name;
    break;
  }
  const written = spec.results.flatMap(({ name }) => {
    const file = join(directory, "results", name);
    return existsSync(file) ? [[name, readFileSync(file, "utf8")] as const] : [];
  });
  return { results: new Map(written), failed, log };
}

const given = z.array(z.object({ name: z.string(), value: z.string() })).default([]);
const pipelineSchema = z.object({
  kind: z.literal("Pipeline"),
  spec: z.object({
    tasks: z.array(
      z.object({
        name: z.string(),
        taskRef: named,
        matrix: z.object({ params: given }).optional(),
        params: given,
        workspaces: z.array(z.object({ name: z.string(), workspace: z.string() })),
      }),
    ),
  }),
});
type Values = Readonly<Record<string, string | readonly string[]>>;

/** What a Pipeline gives to its tasks. */
export class Pipeline {
  readonly #tasks;

  /** @param file holds one Pipeline, beside other objects */
  constructor(file: string) {
    const objects = parseAllDocuments(readFileSync(file, "utf8")).map((one) => pipelineSchema.safeParse(one.toJS()));
    const [found] = objects.flatMap(({ data }) => data ?? []);
    if (found === undefined) throw new Error(`${file}: no Pipeline`);
    this.#tasks = found.spec.tasks;
  }

  /**
   * The runs of one of its tasks: one, or one for each value of the parameter of its matrix.
   * @param variables all that it may name, as `params.x`, or `tasks.x.results.y[*]` for those of all
   *   runs of an earlier task
   */
  runsOf(name: string, variables: Values): readonly { task: string; params: Values; workspaces: readonly string[] }[] {
    const found = this.#tasks.find((task) => task.name === name);
    if (found === undefined) throw new Error(`no task ${name}`);
    const fill = (text: string) => {
      const [, variable = ""] = /^\$\(([^)]+)\)$/.exec(text) ?? [];
      const value = variables[variable];
      if (value === undefined) throw new Error(`${name}: no variable ${text}`);
      return value;
    };
    const params = Object.fromEntries(found.params.map((param) => [param.name, fill(param.value)]));
    const workspaces = found.workspaces.map((one) => one.name);
    const [over, ...more] = found.matrix?.params ?? [];
    if (more.length > 0) throw new Error(`${name}: a matrix of one parameter is all that is known here`);
    const runs: Values[] =
      over === undefined ? [{}] : [fill(over.value)].flat().map((value) => ({ [over.name]: value }));
    return runs.map((run) => ({ task: found.taskRef.name, params: { ...params, ...run }, workspaces }));
  }
}
