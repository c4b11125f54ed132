/** A thread that examines an initramfs; that of a directory it reads first, with the kernel. */
import { SealError } from "../errors.ts";
import { useLibzstd } from "../io/libzstd.ts";
import { answerQuestion, type ThreadAnswer } from "../io/thread.ts";
import { readTreeContent } from "../io/tree-content.ts";
import { noteThreadUp } from "../io/v8-settings.ts";
import { initramfsFacts } from "../lint/boot-ways.ts";
import type { FactsOfSetups } from "../lint/root-mount.ts";
import { digestOf } from "../pe/digest.ts";

/** Where a file is in a tree. */
export interface FileToRead {
  readonly components: readonly Uint8Array[];
  readonly size: bigint;
}

/** The input of this thread. */
export type KernelQuestion = {
  /** Names the tree in messages. */
  readonly subject: string;
} & (
  | {
      readonly kind: "directory";
      /** Absolute. */
      readonly directory: string;
      readonly kernel: FileToRead;
      readonly initramfs: FileToRead;
    }
  /** Memory that both threads have. */
  | { readonly kind: "memory"; readonly initramfs: Uint8Array }
);

/** Null: something can't be read; the code that needs it reads it again and reports why. */
export type KernelAnswer = {
  /** Of a directory. */
  readonly read: { readonly kernel: Uint8Array; readonly initramfs: Uint8Array } | null;
  readonly facts: FactsOfSetups;
  /** SHA-256, which reports want; of the kernel only where it was read. */
  readonly digests: { readonly kernel: Uint8Array | null; readonly initramfs: Uint8Array };
} | null;

noteThreadUp();
useLibzstd();
void answerQuestion(async (question: KernelQuestion): Promise<ThreadAnswer<KernelAnswer>> => {
  try {
    return await answerTo(question);
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    return { result: null, moved: [] };
  }
});

async function answerTo(question: KernelQuestion): Promise<ThreadAnswer<KernelAnswer>> {
  const { subject } = question;
  if (question.kind === "memory") {
    const { facts, digest } = await examine(question.initramfs, subject);
    return { result: { read: null, facts, digests: { kernel: null, initramfs: digest } }, moved: [] };
  }
  const read = ({ components, size }: FileToRead) => readTreeContent(question.directory, components, size);
  const [kernel, initramfs] = [read(question.kernel), read(question.initramfs)];
  const { facts, digest } = await examine(initramfs, subject);
  const digests = { kernel: digestOf("sha256", [kernel]), initramfs: digest };
  return { result: { read: { kernel, initramfs }, facts, digests }, moved: [kernel.buffer, initramfs.buffer] };
}

async function examine(initramfs: Uint8Array, subject: string) {
  const facts = withoutFiles(await initramfsFacts([initramfs], subject));
  return { facts, digest: digestOf("sha256", [initramfs]) };
}

/** Otherwise thousands of files would be copied between threads. */
function withoutFiles(facts: Awaited<ReturnType<typeof initramfsFacts>>): FactsOfSetups {
  switch (facts.kind) {
    case "read":
    case "unreadable": {
      const { archives: _archives, files: _files, ...kept } = facts;
      return kept;
    }
    default:
      return facts;
  }
}
