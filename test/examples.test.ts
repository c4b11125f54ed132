/**
 * The examples: their form, that every option in them exists, and what their sealing steps do with a tree
 * of that distribution.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, utimesSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import type { Command } from "../src/cli/command.ts";
import { globalOptions } from "../src/cli/global-options.ts";
import { spellings } from "../src/cli/options/spelling.ts";
import { asOwnVerb } from "../src/cli/peer-verbs.ts";
import { VERBS } from "../src/cli/verbs.ts";
import { seal } from "./support/cli.ts";
import { parseContainerfile, sealCalls, sourcesOf } from "./support/containerfile.ts";
import { UNSEALED } from "./support/lint.ts";
import { writeTree } from "./support/lint-tree.ts";
import { tempDir } from "./support/temp.ts";
import type { MemoryFiles } from "./support/tree.ts";
import { vector } from "./support/vectors.ts";

const project = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string) => readFileSync(join(project, path), "utf8");
const files = readdirSync(join(project, "examples"), { recursive: true, encoding: "utf8" }).map(
  (name) => `examples/${name}`,
);
const containerfiles = ["Containerfile.tools", ...files.filter((path) => /\/Containerfile[^/]*$/.test(path))].sort();
const pages = [
  "README.md",
  ...files.filter((path) => path.endsWith(".md")),
  ...readdirSync(join(project, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];
const DISTRIBUTIONS = ["arch", "centos", "debian", "fedora"] as const;
const GLOBAL = new Set(spellings(globalOptions.declarations).map(({ name }) => `--${name}`));

/** The calls of seal in a Containerfile, a CI configuration or the commands of a page. */
function callsIn(path: string): string[][] {
  const text = read(path).replace(/\\\n/g, " ");
  if (path.endsWith(".md")) {
    const blocks = [...text.matchAll(/```sh\n(.*?)```/gs)].map(([, block = ""]) => block.replace(/#.*/g, ""));
    return blocks.flatMap(sealCalls);
  }
  if (/\.ya?ml$/.test(path))
    return sealCalls(text.replace(/^ *#.*/gm, "").replace(/podman run [^\n]*"\$SEAL"/g, "\n seal"));
  const { stages } = parseContainerfile(read(path));
  return stages.flatMap(({ instructions }) =>
    instructions.filter(({ name }) => name === "RUN").flatMap(({ text: script }) => sealCalls(script)),
  );
}

/** What is wrong with a call: a verb or an option that there is not, a value too many or too few. */
async function problems(typed: readonly string[]): Promise<string[]> {
  const words = asOwnVerb(typed, 0);
  const two = words.slice(0, 2).join(" ");
  const verb = VERBS.find(({ name }) => name === two || name === words[0]);
  if (verb === undefined) return [`no verb: ${two}`];
  const command = await verb.load();
  const rest = words.slice(verb.name.split(" ").length);
  const found: string[] = [];
  let operands = 0;
  for (let index = 0; index < rest.length; index++) {
    const word = rest[index] ?? "";
    // What would count for a command.
    if (word === "--" && verb.name === "config") return [...found, ...(await problems(rest.slice(index + 1)))];
    const option = spellings(command.options).find(
      ({ name, option: { aliases } }) => `--${name}` === word || aliases.includes(word),
    )?.option;
    // What follows is for somebody else.
    if (word === "--") break;
    if (!word.startsWith("-")) operands++;
    else if (option === undefined && !GLOBAL.has(word)) found.push(`${verb.name}: no option ${word}`);
    else if (option !== undefined && option.takes !== "nothing" && rest[++index] === undefined)
      found.push(`${word}: no value`);
  }
  return operands > operandsOf(command) ? [...found, `${verb.name}: ${operands} operands`] : found;
}

function operandsOf(command: Command): number {
  const args = Object.values(command.arguments);
  return args.some(({ takes }) => takes === "list") ? Number.POSITIVE_INFINITY : args.length;
}

describe("the examples", () => {
  it("are found", () => {
    for (const name of [...DISTRIBUTIONS, "custom-keys", "external-signing"]) {
      expect(containerfiles).toContain(`examples/${name}/Containerfile`);
    }
    for (const name of ["github-actions", "gitlab", "tekton"]) expect(files).toContain(`examples/ci/${name}/README.md`);
  });

  it.each(containerfiles)("%s takes nothing from a stage that there is not", (path) => {
    const { stages } = parseContainerfile(read(path));
    const known = new Set<string>();
    for (const { name, from, instructions } of stages) {
      // A base image has a registry or a tag in its name.
      if (!/[/:]/.test(from) && from !== "scratch") expect(known).toContain(from);
      for (const source of instructions.flatMap(sourcesOf)) expect(known).toContain(source);
      if (name !== null) known.add(name);
    }
  });

  it.each([...containerfiles, ...pages, ...files.filter((path) => /\.ya?ml$/.test(path))])(
    "%s calls seal with what it takes",
    async (path) => {
      for (const call of callsIn(path)) expect(await problems(call), call.join(" ")).toEqual([]);
    },
  );

  it.each(pages)("%s links to files that are there", (page) => {
    const links = [...read(page).matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, link = ""]) => link);
    expect(links.filter((link) => !existsSync(join(project, dirname(page), link)))).toEqual([]);
  });

  it("put composefs-setup-root into an initramfs as the tutorial does", () => {
    const [hook, script] = [
      ...read("docs/tutorial.md").matchAll(/^cat >files\/etc\/initramfs-tools\/[^\n]*\n(.*?)^EOF$/gms),
    ];
    expect(hook?.[1]).toBe(read("examples/demo/initramfs-tools/hooks/composefs"));
    expect(script?.[1]).toBe(read("examples/demo/initramfs-tools/scripts/composefs"));
  });

  it("run seal at all", () => {
    for (const name of ["github-actions/seal.yml", "gitlab/.gitlab-ci.yml", "tekton/seal.yaml"]) {
      const [sealing, gate, ...more] = callsIn(`examples/ci/${name}`);
      expect(more).toEqual([]);
      const target = sealing?.at((sealing?.indexOf("--to") ?? 0) + 1);
      expect(sealing).toEqual(expect.arrayContaining(["image", "--from", "--to", "--key", "--cert"]));
      // The gate: an image that is not sealed fails, and so does one with a warning. It looks at what was sealed.
      expect(gate).toEqual(expect.arrayContaining(["lint", "--sealed", "--fatal-warnings", "--cert", target]));
    }
  });
});

describe("a sealing step in an example", () => {
  const SEALS = /\bseal (rootfs|build-uki|boot-layout) /;
  const sealing = containerfiles
    .map((path) => ({ path, ...parseContainerfile(read(path)) }))
    .filter(({ stages }) => stages.some(({ instructions }) => instructions.some(({ text }) => SEALS.test(text))));

  it.each(sealing)("$path: comes from no cache, and reads one layer or an image", ({ stages, args }) => {
    for (const { instructions } of stages) {
      const place = instructions.findIndex(({ name, text }) => name === "RUN" && SEALS.test(text));
      const step = instructions[place];
      if (step === undefined) continue;
      expect(step.text).toMatch(/^: "\$\{SEALING:\?\}" && seal /);
      const before = instructions.slice(0, place).filter(({ name }) => name === "ARG");
      expect(before.map(({ text }) => text)).toEqual(["SEALING", "SOURCE_DATE_EPOCH"]);
      const [target] = step.flags.flatMap((flag) => /from=(\w+),source=\/,target=\/target$/.exec(flag)?.[1] ?? []);
      const { from, instructions: made } = stages.find(({ name }) => name === target) ?? { from: "", instructions: [] };
      if (from === args.get("SPLIT")) expect(made).toEqual([]);
      else {
        expect(from).toBe("scratch");
        expect(made).toEqual([{ name: "COPY", flags: [expect.stringMatching(/^--from=/)], text: "/ /" }]);
      }
    }
  });

  it("is as on the page that shows one", () => {
    const [, block = ""] = /```Dockerfile\n(.*?)```/s.exec(read("README.md")) ?? [];
    expect(block).toMatch(/ARG SEALING\n/);
    expect(block).toMatch(/: "\$\{SEALING:\?\}" && seal rootfs \/target /);
    expect(block).toMatch(/FROM scratch AS flat\nCOPY --from=prepared \/ \/\n/);
    expect(sealing.map(({ path }) => path)).toEqual(
      ["arch", "bake", "centos", "custom-keys", "debian", "external-signing", "fedora"].map(
        (name) => `examples/${name}/Containerfile`,
      ),
    );
  });
});

/** Where each distribution has what is sealed, and under which name. */
const SHAPES: Readonly<Record<(typeof DISTRIBUTIONS)[number], { kver: string; id: string; more: MemoryFiles }>> = {
  arch: { kver: "6.17.8-arch1-1", id: "arch", more: { "usr/lib/modules/6.17.8-arch1-1/pkgbase": "linux\n" } },
  centos: { kver: "6.12.0-150.el10.x86_64", id: "centos", more: selinux("targeted") },
  debian: { kver: "6.12.57+deb13-amd64", id: "debian", more: {} },
  fedora: { kver: "6.17.8-300.fc43.x86_64", id: "fedora", more: selinux("targeted") },
};

function selinux(type: string): MemoryFiles {
  return {
    "etc/selinux/config": `SELINUX=enforcing\nSELINUXTYPE=${type}\n`,
    [`etc/selinux/${type}/contexts/files/file_contexts`]:
      "/.*\tsystem_u:object_r:default_t:s0\n/usr(/.*)?\tsystem_u:object_r:usr_t:s0\n",
  };
}

describe.each(DISTRIBUTIONS)("the Containerfile of %s", (name) => {
  const path = `examples/${name}/Containerfile`;

  it("has the stages that the page about it shows, and seals what is shipped", () => {
    const { stages } = parseContainerfile(read(path));
    const names = stages.map((stage) => stage.name);
    expect(names.filter((one) => ["rootfs", "split", "seal", null].includes(one))).toEqual([
      "rootfs",
      "split",
      "seal",
      null,
    ]);
    const last = stages.at(-1);
    expect(last?.from).toBe("split");
    // Nothing outside of /boot changes behind the digest.
    const after = last?.instructions.filter(({ name: one }) => ["RUN", "COPY", "ADD", "WORKDIR"].includes(one));
    expect(after).toEqual([{ name: "COPY", flags: ["--from=seal"], text: "/out/boot /boot" }]);
  });

  it("seals a tree of that distribution", async () => {
    const { kver, id, more } = SHAPES[name];
    const cwd = tempDir();
    const inputs = (file: string) => vector(`uki/inputs/${file}`);
    const base: MemoryFiles = Object.fromEntries(
      Object.entries(UNSEALED).filter(([file]) => !file.startsWith("usr/lib/modules/")),
    );
    const split: MemoryFiles = {
      ...base,
      ...more,
      "usr/lib/os-release": `ID=${id}\nPRETTY_NAME="${id} 1"\n`,
      [`usr/lib/modules/${kver}/modules.dep`]: "",
      "usr/lib/systemd/boot/efi/linuxx64.efi.stub": inputs("stub-plain"),
      "usr/lib/systemd/boot/efi/systemd-bootx64.efi": inputs("stub-plain"),
    };
    const modules = { [`${kver}/vmlinuz`]: inputs("kernel"), [`${kver}/initramfs.img`]: inputs("initrd-2") };
    writeTree(join(cwd, "kernel"), modules);
    mkdirSync(join(cwd, "signed"));
    expect((await seal(["keys", "generate", "--output", "keys"], { cwd })).code).toBe(0);
    const local = (word: string) =>
      word
        .replace(/\$\{file##.*?\}/, "systemd-bootx64.efi")
        .replace("$file", join(cwd, "target/usr/lib/systemd/boot/efi/systemd-bootx64.efi"))
        .replace("/run/secrets/key", join(cwd, "keys/db.key"))
        .replace("/run/secrets/cert", join(cwd, "keys/db.crt"))
        .replace(/^\/(target|kernel|signed|out)\b/, `${cwd}/$1`);
    writeTree(join(cwd, "target"), split);
    for (const call of callsIn(path)) {
      const { code, stderr } = await seal(call.map(local), { cwd });
      expect(code, `${call.join(" ")}: ${stderr}`).toBe(0);
      if (call[0] !== "sign") continue;
      const efi = join(cwd, "target/usr/lib/systemd/boot/efi");
      copyFileSync(join(cwd, "signed/systemd-bootx64.efi.signed"), join(efi, "systemd-bootx64.efi.signed"));
      utimesSync(efi, 1_700_000_000, 1_700_000_000);
    }
    const uki = join(cwd, `out/boot/EFI/Linux/${kver}.efi`);
    const { stdout: digest } = await seal(["compute-digest", join(cwd, "target")]);
    const cmdline = (await seal(["inspect", uki, "--section", ".cmdline"])).stdout.replace(/\0*$/, "");
    expect(cmdline.split(" ")).toContain(`composefs=${digest.trim()}`);
    const programs = [uki, "out/boot/EFI/BOOT/BOOTX64.EFI", "out/boot/EFI/systemd/systemd-bootx64.efi"];
    expect((await seal(["verify", ...programs, "--cert", "keys/db.crt"], { cwd })).code).toBe(0);
  });
});
