/** A thread that reads the kernel of a directory and examines its initramfs. */
import { SealError } from "../errors.ts";
import { useLibzstd } from "../io/libzstd.ts";
import { answerQuestion } from "../io/thread.ts";
import { readTreeContent } from "../io/tree-content.ts";
import { leaveOutTurbofan } from "../io/turbofan.ts";
import { initramfsFacts } from "../lint/boot-ways.ts";
import type { FactsOfSetups } from "../lint/root-mount.ts";
import { digestOf } from "../pe/digest.ts";

/** Where a file is in a tree. */
export interface FileToRead {
  readonly components: readonly Uint8Array[];
  readonly size: bigint;
}

/** The input of this thread. */
export interface KernelQuestion {
  /** Absolute. */
  readonly directory: string;
  /** Names the tree in messages. */
  readonly subject: string;
  readonly kernel: FileToRead;
  readonly initramfs: FileToRead;
}

/** Null: something can't be read; the code that needs it reads it again and reports why. */
export type KernelAnswer = {
  readonly kernel: Uint8Array;
  readonly initramfs: Uint8Array;
  readonly facts: FactsOfSetups;
  /** SHA-256 of both, which reports want. */
  readonly digests: { readonly kernel: Uint8Array; readonly initramfs: Uint8Array };
} | null;

leaveOutTurbofan();
useLibzstd();
void answerQuestion(async (question: KernelQuestion) => {
  try {
    const read = ({ components, size }: FileToRead) => readTreeContent(question.directory, components, size);
    const [kernel, initramfs] = [read(question.kernel), read(question.initramfs)];
    const facts = withoutFiles(await initramfsFacts([initramfs], question.subject));
    const digests = { kernel: digestOf("sha256", [kernel]), initramfs: digestOf("sha256", [initramfs]) };
    const result: KernelAnswer = { kernel, initramfs, facts, digests };
    return { result, moved: [kernel.buffer, initramfs.buffer] };
  } catch (error) {
    if (!(error instanceof SealError)) throw error;
    const result: KernelAnswer = null;
    return { result, moved: [] };
  }
});

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
