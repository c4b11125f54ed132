/** Layers read by several threads: the same as by one, and the same error, whoever comes first. */
import { createHash, randomFillSync } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Worker } from "node:worker_threads";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, it, onTestFinished } from "vitest";
import { displayBytes } from "../../../src/bytes.ts";
import { verityDigest } from "../../../src/composefs/verity.ts";
import { SealError } from "../../../src/errors.ts";
import type { Layer } from "../../../src/io/oci/layer.ts";
import { earlyThread, type LayerTask, LayerThreads } from "../../../src/io/oci/layer-threads.ts";
import type { LayerReading } from "../../../src/io/oci/read-contents.ts";
import { NotNeeded } from "../../../src/io/oci/reading-state.ts";
import { type StoredFile, wholeFile } from "../../../src/io/oci/stored-file.ts";
import { encodeLayer } from "../../../src/tree/layer-codec.ts";
import type { LayerContents } from "../../../src/tree/layer-contents.ts";
import { tarArchive, tarDirectory, tarFile } from "../../support/tar.ts";
import { tempDir } from "../../support/temp.ts";

const READING: LayerReading = { algorithm: "sha512", paxOwners: "count", needs: "all" };
const LARGE = 9 << 20;
const FORMS = ["none", "none", "zstd", "gzip"] as const;
const PACK = { none: (bytes: Uint8Array) => bytes, zstd: zstdCompressSync, gzip: gzipSync } as const;

async function layerOf(name: string, bytes: Uint8Array, stored = bytes): Promise<Layer> {
  const path = join(tempDir(), name);
  writeFileSync(path, stored);
  const hex = createHash("sha256").update(bytes).digest("hex");
  const digest = { algorithm: "sha256", hex } as const;
  const file = await wholeFile(name, path);
  return { file, digest, diffId: null, mediaType: null, negativeTimes: false };
}

/** All layers, or the error of the first that can't be read. */
async function readAll(layers: readonly Layer[], jobs: number): Promise<LayerContents[]> {
  const tasks = layers.map((layer) => ({ layer, isKnown: false }));
  return (await workOff(tasks, jobs)).filter((contents) => contents !== null);
}

async function workOff(tasks: readonly LayerTask[], jobs: number): Promise<(LayerContents | null)[]> {
  let stored = 0;
  const threads = new LayerThreads(tasks, READING, {
    jobs,
    onProgress: (total) => {
      stored = total.stored;
    },
  });
  try {
    const contents: (LayerContents | null)[] = [];
    for (const number of tasks.keys()) contents.push(await threads.contents(number));
    return contents;
  } finally {
    await threads.close();
    expect(stored).toBeGreaterThan(0);
  }
}

/** How many threads of this process have SCHED_BATCH, 3: the 39th field after the name (proc_pid_stat(5)). */
function batchThreads(): number {
  const stats = readdirSync("/proc/self/task").map((id) => readFileSync(`/proc/self/task/${id}/stat`, "latin1"));
  return stats.filter((stat) => stat.slice(stat.lastIndexOf(")") + 2).split(" ")[38] === "3").length;
}

describe("LayerThreads", () => {
  const files = [0, 1, 2, 3].map(() => {
    const bytes = randomFillSync(new Uint8Array(LARGE));
    // So that Zstandard makes blocks of about 100 kB, of which several are unpacked together.
    for (let at = 0; at < LARGE; at += 128 << 10) bytes.fill(0, at, at + (28 << 10));
    return bytes;
  });
  const key = Buffer.from("not to be read again ".repeat(10));
  const archives = files.map((bytes, number) =>
    tarArchive(
      tarDirectory("etc/"),
      tarFile(`etc/key-${number}`, key),
      tarFile(`etc/small-${number}`, Buffer.from("x")),
      tarFile(`etc/large-${number}`, bytes),
    ),
  );

  const sound = () =>
    Promise.all(archives.map((archive, number) => layerOf(`layer-${number}`, PACK[FORMS[number] ?? "none"](archive))));

  const unread = async () => (await sound()).map((layer) => ({ layer, isKnown: false }));

  it("give what one thread gives", async () => {
    const layers = await sound();
    const read = await readAll(layers, 2);
    // By their bytes: what another thread has read comes as other views than what this one has.
    const alone = await readAll(layers, 1);
    expect(alone.map(encodeLayer)).toEqual(read.map(encodeLayer));
    expect(alone.map(({ contents }) => contents)).toEqual(read.map(({ contents }) => contents));
    for (const [number, { entries, contents, compression, isOnePart }] of read.entries()) {
      expect({ compression, isOnePart }).toEqual({ compression: FORMS[number], isOnePart: true });
      const items = entries.map(({ path, item }) => [displayBytes(path), item.kind === "regular" && item.content]);
      const external = (bytes: Uint8Array) => ({
        ...{ kind: "external", payload: "digest", size: BigInt(bytes.length) },
        digest: verityDigest(bytes, "sha512"),
      });
      expect(items).toEqual([
        ["etc/", false],
        [`etc/key-${number}`, external(key)],
        [`etc/small-${number}`, { kind: "inline", bytes: Uint8Array.from(Buffer.from("x")) }],
        [`etc/large-${number}`, external(files[number] as Uint8Array)],
      ]);
      expect([...contents]).toEqual([[1, Uint8Array.from(key)]]);
    }
  });

  it.each([1, 2])(
    "keep an initramfs, and nothing else, in memory that threads share, with %i at work",
    async (jobs) => {
      const modules = "usr/lib/modules/6.1";
      const initramfs = randomFillSync(new Uint8Array(100_000));
      const layers = await Promise.all(
        files.slice(0, 3).map((bytes, number) => {
          const kept = ["vmlinuz", "initramfs.img"].map((name) => tarFile(`./${modules}/${name}`, initramfs));
          return layerOf(`kernel-${number}`, tarArchive(...kept, tarFile("large", bytes), tarFile("more", bytes)));
        }),
      );
      for (const { contents } of await readAll(layers, jobs)) {
        expect([...contents.values()].map(({ buffer }) => buffer instanceof SharedArrayBuffer)).toEqual([false, true]);
        for (const bytes of contents.values()) expect(Buffer.compare(bytes, initramfs)).toBe(0);
      }
    },
  );

  it.each([1, 2])("tell of the lowest layer that can't be read, with %i at work", async (jobs) => {
    const damaged = async (number: number) => {
      const archive = archives[number] as Buffer;
      const changed = Buffer.from(archive);
      changed[archive.length - 2000] = (changed[archive.length - 2000] as number) ^ 1;
      return layerOf(`damaged-${number}`, archive, changed);
    };
    // The upper one is found first: it is not an archive from its first byte on.
    const nothing = await layerOf("nothing", new Uint8Array(LARGE * 2).fill(0x41));
    const first = await layerOf("first", archives[0] as Buffer);
    const reading = readAll([first, await damaged(1), await damaged(2), nothing], jobs);
    await expect(reading).rejects.toThrow(/^damaged-1: the blob has the digest sha256:/);
    await expect(reading).rejects.toMatchObject({ code: "input" });
  });

  it.each([1, 2])("only hash what is known, between others that are read, with %i at work", async (jobs) => {
    const tasks = (await sound()).map((layer, number) => ({ layer, isKnown: number % 2 === 1 }));
    const read = await readAll(
      tasks.filter(({ isKnown }) => !isKnown).map(({ layer }) => layer),
      jobs,
    );
    expect(await workOff(tasks, jobs)).toEqual([read[0], null, read[1], null]);
    // What is known is not looked into.
    const nothing = await layerOf("nothing", Buffer.from("no archive"));
    expect(await workOff([{ layer: nothing, isKnown: true }], jobs)).toEqual([null]);
    const other = await layerOf("other", Buffer.from("no archive"), Buffer.from("something"));
    const reading = workOff([...tasks, { layer: other, isKnown: true }], jobs);
    await expect(reading).rejects.toThrow(/^other: the blob has the digest sha256:/);
    await expect(reading).rejects.toMatchObject({ code: "input" });
  });

  it("tell whoever waits for a layer that is not read any more", async () => {
    const damaged = await layerOf("damaged", Buffer.from("no archive"), Buffer.from("something"));
    const others = (await unread()).slice(0, 2);
    const tasks = [{ layer: damaged, isKnown: true }, ...others, ...others, ...others];
    const threads = new LayerThreads(tasks, READING, { jobs: 1, onProgress: () => {} });
    await expect(threads.contents(tasks.length - 1)).rejects.toThrow(NotNeeded);
    await expect(threads.contents(0)).rejects.toThrow(/^damaged: the blob has the digest sha256:/);
    await threads.close();
  });

  it.each([1, 2])("wait for what is hashed elsewhere, and have its error, with %i at work", async (jobs) => {
    const first = { layer: await layerOf("first", archives[0] as Buffer), isKnown: false };
    const layer = await layerOf("elsewhere", Buffer.from("no archive"), Buffer.from("not read here"));
    const elsewhere = setTimeout(50, null);
    const [read, hashed] = await workOff([first, { layer, isKnown: true, elsewhere }], jobs);
    expect([read?.entries.length, hashed]).toEqual([4, null]);
    const damaged = elsewhere.then(() => Promise.reject(new SealError("input", "elsewhere: damaged")));
    const reading = workOff([first, { layer, isKnown: true, elsewhere: damaged }], jobs);
    await expect(reading).rejects.toThrow("elsewhere: damaged");
  });

  describe("that hash much of what is known", () => {
    const BYTES = new Uint8Array(24 << 20);
    const known = async (name: string, stored = BYTES) => ({
      layer: await layerOf(name, BYTES, stored),
      isKnown: true,
    });
    const all = () => Promise.all(["a", "b", "c"].map((name) => known(name)));

    it("do so while this one is busy", async () => {
      const threads = new LayerThreads(await all(), READING, { jobs: 2, onProgress: () => {} });
      const nothing = new Int32Array(new SharedArrayBuffer(4));
      // It never gives way.
      for (let turns = 0; turns < 600 && threads.total().stored < 3 * BYTES.length; turns++) {
        Atomics.wait(nothing, 0, 0, 50);
      }
      expect(threads.total().stored).toBe(3 * BYTES.length);
      expect(await Promise.all([0, 1, 2].map((layer) => threads.contents(layer)))).toEqual([null, null, null]);
      await threads.close();
    });

    it("are helped by this one when it has nothing else to do", async () => {
      const changed = Uint8Array.from(BYTES);
      changed[0] = 1;
      const threads = new LayerThreads([...(await all()), await known("changed", changed)], READING, {
        jobs: 2,
        onProgress: () => {},
      });
      await threads.help();
      expect(threads.total().stored).toBeGreaterThanOrEqual(BYTES.length);
      expect(await Promise.all([0, 1, 2].map((layer) => threads.contents(layer)))).toEqual([null, null, null]);
      await expect(threads.contents(3)).rejects.toThrow(/^changed: the blob has the digest sha256:/);
      expect(threads.total().stored).toBe(4 * BYTES.length);
      await threads.close();
    });

    it("are not helped where this one hashes them all along, as many at a time as may be", async () => {
      const threads = new LayerThreads(await all(), READING, { jobs: 1, onProgress: () => {} });
      await threads.help();
      expect(threads.total().stored).toBeLessThan(BYTES.length);
      expect(await Promise.all([0, 1, 2].map((layer) => threads.contents(layer)))).toEqual([null, null, null]);
      await threads.close();
    });

    it.each([1, 2, 3])("tell which one is not what it was, with %i at work", async (jobs) => {
      const changed = Uint8Array.from(BYTES);
      changed[BYTES.length - 1] = 1;
      const tasks = [...(await all()), await known("changed", changed)];
      const reading = workOff(tasks, jobs);
      await expect(reading).rejects.toThrow(/^changed: the blob has the digest sha256:/);
      await expect(reading).rejects.toMatchObject({ code: "input" });
      expect(await workOff(tasks.slice(0, 3), jobs)).toEqual([null, null, null]);
    });

    it.each([1, 2, 3])("tell which one can't be read, with %i at work", async (jobs) => {
      const tasks = await all();
      const [first] = tasks;
      const changed = (file: Partial<StoredFile>) => {
        const layer = first?.layer as Layer;
        return [...tasks, { layer: { ...layer, file: { ...layer.file, ...file } }, isKnown: true }];
      };
      await expect(workOff(changed({ path: join(tempDir(), "gone"), subject: "gone" }), jobs)).rejects.toThrow(
        "gone: can't be read: no such file or directory",
      );
      await expect(workOff(changed({ size: BYTES.length + 1, subject: "short" }), jobs)).rejects.toThrow(
        "short: became shorter while it was read; run seal again when nothing writes to it",
      );
    });

    it("don't interrupt the threads that everything waits for", async () => {
      const threads = new LayerThreads(await all(), READING, { jobs: 2, onProgress: () => {} });
      await threads.contents(0);
      expect(batchThreads()).toBe(1);
      await threads.close();
      expect(batchThreads()).toBe(0);
    });

    it("say how far they are while one is hashed", async () => {
      const large = await layerOf("large", new Uint8Array(100 << 20));
      const shares = new Set<number>();
      const threads = new LayerThreads([{ layer: large, isKnown: true }], READING, {
        jobs: 2,
        onProgress: ({ stored }) => void shares.add(stored),
      });
      await threads.contents(0);
      await threads.close();
      expect(shares.size).toBeGreaterThan(3);
    });
  });

  describe("of which one was started early", () => {
    const MUCH = 100 << 20;

    it.each([
      ["reads", false, 4],
      ["hashes", true, 4],
      ["ends where there is nothing for it", false, 0],
    ])("%s", async (_what, isKnown, count) => {
      const large = await layerOf("large", new Uint8Array(40 << 20));
      const layers = isKnown ? [large, large, large, large] : await sound();
      const tasks = layers.slice(0, count).map((layer) => ({ layer, isKnown }));
      const workers: Worker[] = [];
      const noteWorker = (worker: Worker) => void workers.push(worker);
      process.on("worker", noteWorker);
      onTestFinished(() => void process.off("worker", noteWorker));
      const early = earlyThread(MUCH, 2);
      if (early === null) throw new Error("there is no thread");
      const threads = new LayerThreads(tasks, READING, { jobs: 2, early, onProgress: () => {} });
      const contents = await Promise.all(tasks.map((_, number) => threads.contents(number)));
      expect(contents.map((content) => content === null)).toEqual(tasks.map(() => isKnown));
      await threads.close();
      await early.ended;
      expect(workers).toHaveLength(1);
    });

    it("is not, where that is not worth it", () => {
      expect([earlyThread(MUCH, 1), earlyThread(1 << 20, 2)]).toEqual([null, null]);
    });
  });

  it.each([
    ["as much as the largest", LARGE * 2, 1],
    ["little beside the largest", 1 << 10, 0],
  ])("share what is %s", async (_what, size, others) => {
    const layers = await Promise.all(
      [LARGE * 2, size].map((bytes, number) =>
        layerOf(`share-${number}`, tarArchive(tarFile("file", new Uint8Array(bytes)))),
      ),
    );
    const workers: Worker[] = [];
    const noteWorker = (worker: Worker) => void workers.push(worker);
    process.on("worker", noteWorker);
    onTestFinished(() => void process.off("worker", noteWorker));
    expect(await readAll(layers, 2)).toHaveLength(2);
    expect(workers).toHaveLength(others);
  });

  it("stop with a reason, and read no more than was begun", async () => {
    const tasks = await unread();
    const threads = new LayerThreads(tasks, READING, { jobs: 2, onProgress: () => {} });
    threads.stop(new Error("enough"));
    await expect(threads.contents(3)).rejects.toThrow("enough");
    await threads.close();
  });

  it.each([false, true])("end by themselves, whenever they are given up; hashing only: %s", async (isKnown) => {
    const large = await layerOf("large", new Uint8Array(40 << 20));
    const tasks = isKnown ? [1, 2].map(() => ({ layer: large, isKnown })) : await unread();
    const exits: Promise<unknown[]>[] = [];
    const noteWorker = (worker: Worker) => void exits.push(once(worker, "exit"));
    process.on("worker", noteWorker);
    onTestFinished(() => void process.off("worker", noteWorker));
    for (const wait of [0, 20, 60, 200]) {
      const threads = new LayerThreads(tasks, READING, { jobs: 2, onProgress: () => {} });
      await setTimeout(wait);
      await threads.close();
    }
    // Terminated threads exit with 1; node aborts where that happens while they load native code.
    expect(await Promise.all(exits)).toEqual(Array(4).fill([0]));
  });

  it("check the whole blob, also behind the end of what is packed in it", async () => {
    const packed = gzipSync(archives[0] as Buffer, { level: 1 });
    const whole = Buffer.concat([packed, Buffer.alloc(3 << 20)]);
    const [read] = await readAll([await layerOf("padded", whole)], 1);
    expect(read?.entries).toHaveLength(4);
    const other = Buffer.from(whole);
    other[whole.length - 1] = 1;
    await expect(readAll([await layerOf("other", whole, other)], 1)).rejects.toThrow(/^other: the blob has the digest/);
  });
});
