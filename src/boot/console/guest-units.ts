/**
 * Asks a running system what its root filesystem is: with two small units that the virtual machine passes to systemd as
 * credentials (systemd.system-credentials(7), `systemd.extra-unit.*`, since systemd 256). Nothing is written to the
 * disk, and the image need not be prepared for it.
 */
import { utf8 } from "../../bytes.ts";

/** The answers of the system. */
export type GuestAnswer =
  | { readonly kind: "root"; readonly root: GuestRoot }
  /** systemd has reached its default target. */
  | { readonly kind: "up" };

/** The root filesystem as /proc/mounts has it. */
export interface GuestRoot {
  /** `composefs:` and the digest, or a device. */
  readonly source: string;
  readonly type: string;
  readonly options: readonly string[];
}

/** Starts each line of an answer; a lone dot ends it, as the kernel may print in the middle of a line. */
const MARK = "SEAL-BOOT-TEST";
const ROOT_UNIT = "seal-boot-test-root.service";
const UP_UNIT = "seal-boot-test-up.service";

/**
 * The credentials with the units, by name: what systemd imports from the tables of the firmware in a virtual machine.
 * @param terminal device of the serial console: `ttyS0`
 */
export function guestCredentials(terminal: string): ReadonlyMap<string, Uint8Array> {
  const tellRoot = `while read -r source place type options rest; do case $$place in /) echo "${MARK} root $$source $$type $$options .";; esac; done </proc/mounts`;
  const units = {
    [`systemd.extra-unit.${ROOT_UNIT}`]: unit(
      "Tell seal boot-test what the root filesystem is",
      "",
      tellRoot,
      terminal,
    ),
    [`systemd.extra-unit.${UP_UNIT}`]: unit(
      "Tell seal boot-test that the system is up",
      "After=multi-user.target graphical.target\n",
      // Repeated: the first line may have been torn apart or lost in the terminal, as other units write at the same
      // time.
      `${tellRoot}; echo "${MARK} up ."`,
      terminal,
    ),
    "systemd.unit-dropin.sysinit.target": `[Unit]\nWants=${ROOT_UNIT} ${UP_UNIT}\n`,
  };
  return new Map(Object.entries(units).map(([name, text]) => [name, utf8(text)]));
}

/** The initramfs gets the credentials too, and has no root filesystem yet. */
function unit(description: string, order: string, script: string, terminal: string): string {
  return `[Unit]
Description=${description}
DefaultDependencies=no
ConditionPathExists=!/etc/initrd-release
${order}
[Service]
Type=oneshot
ExecStart=/bin/sh -c '${script}'
StandardOutput=tty
TTYPath=/dev/${terminal}
`;
}

const ROOT_LINE = new RegExp(`${MARK} root (\\S+) (\\S+) (\\S+) \\.$`);
const UP_LINE = new RegExp(`${MARK} up \\.$`);

/** @returns null for a line that is not an answer, or is incomplete */
export function parseGuestLine(line: string): GuestAnswer | null {
  if (UP_LINE.test(line)) return { kind: "up" };
  const [, source, type, options] = ROOT_LINE.exec(line) ?? [];
  if (source === undefined || type === undefined || options === undefined) return null;
  return { kind: "root", root: { source, type, options: options.split(",") } };
}

/** The digest of the composefs image that a root filesystem shows; null when it is none. */
export function composefsDigestOf({ source, type }: GuestRoot): string | null {
  return type === "overlay" ? (/^composefs:([0-9a-f]{64}|[0-9a-f]{128})$/.exec(source)?.[1] ?? null) : null;
}

/** Whether the kernel checks each file against its digest and refuses files without (overlayfs, `verity=require`). */
export function enforcesVerity(root: GuestRoot): boolean {
  return composefsDigestOf(root) !== null && root.options.includes("verity=require");
}
