import { describe, expect, it } from "vitest";
import { runShellCommand, type ShellCommand } from "../../src/io/exec.ts";

function run(command: string, options: Partial<ShellCommand> = {}): Promise<Uint8Array> {
  return runShellCommand({
    command,
    input: new Uint8Array(),
    env: process.env,
    cwd: "/",
    timeoutSeconds: 20,
    onStderr: () => {},
    ...options,
  });
}

describe("runShellCommand", () => {
  it("hands bytes in and out as they are", async () => {
    const input = Uint8Array.from({ length: 256 }, (_, index) => index);
    expect(Buffer.from(await run("cat", { input }))).toEqual(Buffer.from(input));
    expect(Buffer.from(await run("echo; echo")).toString()).toBe("\n\n");
  });

  it("gives it the environment and the directory, and passes on what it says", async () => {
    const said: Uint8Array[] = [];
    const options = { env: { A: "b" }, cwd: "/usr", onStderr: (text: Uint8Array) => void said.push(text) };
    expect(Buffer.from(await run('echo "$A $PWD $HOME"; echo careful >&2', options)).toString()).toBe("b /usr \n");
    expect(Buffer.concat(said).toString()).toBe("careful\n");
  });

  it("does not mind a command that reads nothing", async () => {
    expect(Buffer.from(await run("echo x", { input: new Uint8Array(1 << 20) })).toString()).toBe("x\n");
  });

  it.each<[string, string, Partial<ShellCommand>, RegExp]>([
    ["fails", "exit 3", {}, /^exit 3: failed with exit code 3$/],
    ["is not there", "no-such-program-anywhere", {}, /failed with exit code 127$/],
    ["is killed", "kill -9 $$", {}, /was killed by SIGKILL$/],
    ["hangs", "sleep 5", { timeoutSeconds: 0.2 }, /^sleep 5: did not finish within 0\.2 seconds and was stopped$/],
    ["leaves a program behind that hangs", "sleep 5; true", { timeoutSeconds: 0.2 }, /did not finish/],
    ["writes without end", "yes", {}, /^yes: wrote more than 1048576 bytes and was stopped$/],
    ["starts nowhere", "true", { cwd: "/no/such/directory" }, /can't be run: /],
    ["is long and has several lines", `exit 1\n${"#".repeat(200)}`, {}, /^exit 1 #+…: failed with exit code 1$/],
  ])("says in one line that a command %s", async (_, command, options, message) => {
    await expect(run(command, options)).rejects.toMatchObject({
      code: "external",
      message: expect.stringMatching(message),
    });
  });
});
