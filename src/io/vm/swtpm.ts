/**
 * A software TPM 2.0 for a virtual machine: swtpm(8). QEMU hands it its own end of a socket, and while QEMU lives
 * nothing else can talk to it. So the registers are read when the machine is gone: the TPM writes down all that it
 * holds, a second swtpm takes it up, as when a machine migrates, and answers TPM2_PCR_Read. That needs nothing in the
 * guest, and nothing that the guest says is believed.
 */
import { mkdir } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { inputError, SealError } from "../../errors.ts";
import { type Environment, programFailed } from "../exec.ts";
import { orUndo } from "../undo.ts";

export interface TpmOptions {
  /** Absolute path of swtpm. */
  readonly program: string;
  /** What the TPM keeps goes into a new directory in it. */
  readonly directory: string;
  readonly env: Environment;
}

export interface SoftwareTpm {
  /** Path of the socket that QEMU's `-tpmdev emulator` wants. */
  readonly control: string;
  /**
   * Reads registers when the machine is gone without having turned its TPM off; to be called once.
   * @returns their SHA-256 values by number
   * @throws SealError `external` when the TPM does not answer
   */
  readPcrs(pcrs: readonly number[]): Promise<ReadonlyMap<number, Uint8Array>>;
}

/** How long swtpm may take to listen or to answer. */
const PATIENCE_MS = 20_000;
const POLL_MS = 20;
/** Of sun_path, unix(7), without the final NUL. */
const MAX_SOCKET_PATH = 107;
/** CMD_STORE_VOLATILE of swtpm's control channel; the answer is a result, 0 for done. */
const STORE_VOLATILE = Uint8Array.of(0, 0, 0, 0x0a);

/**
 * Runs a TPM as long as some work takes. It ends with the work: done, failed or ended by a signal.
 * @throws SealError `external` when swtpm does not run, `input` when the directory's path is too long for a socket
 */
export async function withTpm<Result>(
  options: TpmOptions,
  work: (tpm: SoftwareTpm) => Promise<Result>,
): Promise<Result> {
  const directory = join(options.directory, "tpm");
  const [control, data] = [join(directory, "control"), join(directory, "data")];
  if (Buffer.byteLength(control) > MAX_SOCKET_PATH) {
    throw inputError(options.directory, "the path is too long for a socket in it; set TMPDIR to a shorter one");
  }
  await mkdir(directory, { mode: 0o700 });
  const swtpm = { ...options, directory };
  // Paths are relative to the directory: a comma would end them.
  return withServer(swtpm, ["--ctrl", "type=unixio,path=control"], control, (stop) =>
    work({
      control,
      readPcrs: async (pcrs) => {
        const stored = await ask(swtpm, control, STORE_VOLATILE, 4);
        if (stored.some((byte) => byte !== 0))
          throw new SealError("external", `${options.program}: can't save its state`);
        await stop();
        return withServer(swtpm, ["--server", "type=unixio,path=data", "--flags", "not-need-init"], data, async () => {
          const values = new Map<number, Uint8Array>();
          for (const pcr of pcrs) values.set(pcr, await readPcr(swtpm, data, pcr));
          return values;
        });
      },
    }),
  );
}

/** Runs swtpm as long as some work takes, from when it listens on a socket. */
async function withServer<Result>(
  { program, directory, env }: TpmOptions,
  args: readonly string[],
  socket: string,
  work: (stop: () => Promise<void>) => Promise<Result>,
): Promise<Result> {
  const { execa } = await import("execa");
  const child = execa(program, ["socket", "--tpm2", "--tpmstate", "dir=.", ...args], {
    cwd: directory,
    env: { ...env },
    extendEnv: false,
    stdin: "ignore",
    stdout: "ignore",
    maxBuffer: { stderr: 1 << 16 },
    encoding: "utf8",
    reject: false,
  });
  let ended = false;
  const end = child.then((result) => {
    ended = true;
    return result;
  });
  const stop = async () => {
    child.kill("SIGKILL");
    await end;
  };
  return orUndo(
    () => void child.kill("SIGKILL"),
    async () => {
      try {
        for (let waited = 0; !(await isListening(socket)); waited += POLL_MS) {
          if (ended) throw programFailed(program, await end);
          if (waited > PATIENCE_MS) throw new SealError("external", `${program}: did not start listening`);
          await sleep(POLL_MS);
        }
        return await work(stop);
      } finally {
        await stop();
      }
    },
  );
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const tell = (listening: boolean) => {
      socket.destroy();
      resolve(listening);
    };
    socket.once("connect", () => tell(true));
    socket.once("error", () => tell(false));
  });
}

/** Sends a request on a new connection. @param least how many bytes the answer has at least */
async function ask({ program }: TpmOptions, path: string, request: Uint8Array, least: number): Promise<Buffer> {
  const silence = (cause?: unknown) => new SealError("external", `${program}: the TPM does not answer`, { cause });
  const socket = connect(path);
  socket.setTimeout(PATIENCE_MS, () => socket.destroy());
  try {
    socket.write(request);
    let answer = Buffer.alloc(0);
    for await (const bytes of socket as AsyncIterable<Buffer>) {
      answer = Buffer.concat([answer, bytes]);
      if (answer.length >= least) return answer;
    }
  } catch (error) {
    throw silence(error);
  } finally {
    socket.destroy();
  }
  throw silence();
}

/**
 * TPM2_PCR_Read (TPM 2.0 library, part 3, 22.4) of one register in the SHA-256 bank.
 *
 *     TPM_ST_NO_SESSIONS, size, command or result; then
 *     request   TPML_PCR_SELECTION: 1, TPM_ALG_SHA256, 3 bytes of bits
 *     answer    counter, the selection, TPML_DIGEST: 1, 32, digest
 */
async function readPcr(tpm: TpmOptions, path: string, pcr: number): Promise<Uint8Array> {
  const bits = Buffer.alloc(3);
  bits.writeUIntLE(1 << pcr, 0, 3);
  const request = Uint8Array.from([0x80, 0x01, 0, 0, 0, 20, 0, 0, 0x01, 0x7e, 0, 0, 0, 1, 0x00, 0x0b, 3, ...bits]);
  const answer = await ask(tpm, path, request, 10);
  const [size, result] = [answer.readUInt32BE(2), answer.readUInt32BE(6)];
  if (size !== PCR_ANSWER_BYTES || answer.length !== size || result !== 0) {
    throw new SealError(
      "external",
      `${tpm.program}: the TPM gives no SHA-256 value of PCR ${pcr} (0x${result.toString(16)})`,
    );
  }
  return answer.subarray(-32);
}

const PCR_ANSWER_BYTES = 10 + 4 + (4 + 2 + 1 + 3) + (4 + 2 + 32);
