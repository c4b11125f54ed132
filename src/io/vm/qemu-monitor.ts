/** QEMU's monitor (QMP): says when the machine turned itself off, while QEMU itself keeps running. */
import { createServer } from "node:net";
import { createInterface } from "node:readline";

export interface Monitor {
  /** Comes when the machine turned itself off, if ever. */
  readonly shutdown: Promise<void>;
  close(): void;
}

/** Makes a socket that a QEMU is to connect to. */
export async function openMonitor(path: string): Promise<Monitor> {
  let onShutdown = () => {};
  const shutdown = new Promise<void>((resolve) => {
    onShutdown = resolve;
  });
  const server = createServer((socket) => {
    // Commands are obeyed, and events sent, after this one.
    socket.write('{"execute":"qmp_capabilities"}\n');
    // QEMU is killed in the middle of things.
    socket.on("error", () => socket.destroy());
    createInterface(socket).on("line", (line) => {
      if (isShutdown(line)) onShutdown();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, resolve);
  });
  return { shutdown, close: () => server.close() };
}

function isShutdown(line: string): boolean {
  try {
    const message: unknown = JSON.parse(line);
    return typeof message === "object" && message !== null && "event" in message && message.event === "SHUTDOWN";
  } catch {
    return false;
  }
}
