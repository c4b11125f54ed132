/** When a machine has said enough. */
import { describe, expect, it } from "vitest";
import { watchBoot } from "../../../src/boot/console/stages.ts";
import { utf8 } from "../../../src/bytes.ts";
import { stillToSee } from "../../../src/cli/boot-test/report.ts";

const UP = "[  OK  ] Reached target multi-user.target - Multi-User System.\n";
const ROOT = `SEAL-BOOT-TEST root composefs:${"ab".repeat(64)} overlay ro,verity=require .\n`;
const ANSWERED = "SEAL-BOOT-TEST up .\n";

describe.each([
  ["the default target", null, ""],
  ["a text", "ready", "it is ready now\n"],
])("a machine that is to come to %s", (_, expected, text) => {
  const still = (said: string, enforced = true) => {
    const state = watchBoot(expected, "EFI/BOOT/BOOTX64.EFI").push(utf8(said));
    return stillToSee(state, { expect: expected, stage: "system", enforced });
  };

  it("has to come there", () => {
    expect(still(ROOT)).toBe("more");
  });

  it("has said enough when its root filesystem is known", () => {
    expect(still(ROOT + UP + text)).toBe("nothing");
  });

  it("may yet tell what its root filesystem is when it is up and what it told was lost", () => {
    expect(still(UP + text)).toBe("last words");
    expect(still(UP + text + ROOT)).toBe("nothing");
  });

  it("is not waited for once it has answered all, nor where nobody asks", () => {
    expect(still(UP + text + ANSWERED)).toBe("nothing");
    expect(still(UP + text, false)).toBe("nothing");
  });
});
