/** Releases of Linux that are known not to boot a sealed root filesystem. */

/** Releases of one stable series with a fault, and where it is reported. */
export interface KernelFault {
  /** Major and minor number. */
  readonly series: readonly [major: number, minor: number];
  /** The first and the last release with it. */
  readonly patches: readonly [first: number, last: number];
  /** What goes wrong; "it" is the kernel. */
  readonly what: string;
  /** Commits of Linux and threads. */
  readonly evidence: string;
}

/** To add one: the releases that have it, from the commits that introduced and fixed it, and a reference. */
export const KERNEL_FAULTS: readonly KernelFault[] = [
  {
    series: [7, 0],
    patches: [0, 6],
    what: 'it refuses every file of a root that requires fs-verity ("has no fs-verity digest")',
    // A change in the first release candidate: overlayfs could no longer see from fsverity_active() whether the digest
    // had been loaded. The fix is in the review of 7.0.7 (stable, 2026-05-12, 123 of 307). Fedora 44, Arch and Ubuntu
    // 26.04 had the fault.
    evidence: "bootc issue 2174, Linux commits f77f281b6118 and 0c8c88b8eb82",
  },
];

/**
 * The fault that a kernel is known to have by its version; null: none. A distribution may have fixed it without a new
 * number; Ubuntu gives all kernels of a series the number of its first release.
 * @param version as `uname -r` prints it: `7.0.3`, `7.0.3-200.fc44.x86_64`, `7.0.0-15-generic`, `7.0-rc1`
 */
export function kernelFault(version: string): KernelFault | null {
  const [, ...numbers] = /^(\d+)\.(\d+)(?:\.(\d+))?(?![\d.])/.exec(version) ?? [];
  const [major, minor, patch = 0] = numbers.map((text) => (text === undefined ? undefined : Number(text)));
  const fault = KERNEL_FAULTS.find(({ series, patches: [first, last] }) => {
    return series[0] === major && series[1] === minor && first <= patch && patch <= last;
  });
  return fault ?? null;
}

/** A fault in words: `Linux 7.0.0 to 7.0.6: it refuses … (bootc issue 2174, …)`. */
export function describeFault({ series, patches: [first, last], what, evidence }: KernelFault): string {
  const release = (patch: number) => [...series, patch].join(".");
  return `Linux ${release(first)} to ${release(last)}: ${what} (${evidence})`;
}
