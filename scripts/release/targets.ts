/** The machines that there are executables for, and what others call them. */

/** Processors by the names that node gives them. */
export const ARCHITECTURES = ["x64", "arm64"] as const;
export type Architecture = (typeof ARCHITECTURES)[number];

export interface Target {
  /** As people say it. */
  readonly machine: string;
  /** What loads programs on such a machine: where glibc is, there it is. */
  readonly loader: string;
  /** Debian's folder of libraries. */
  readonly multiarch: string;
  /** The names of Debian and of RPM. */
  readonly deb: string;
  readonly rpm: string;
}

export const TARGETS: Readonly<Record<Architecture, Target>> = {
  x64: {
    machine: "x86-64",
    loader: "/lib64/ld-linux-x86-64.so.2",
    multiarch: "x86_64-linux-gnu",
    deb: "amd64",
    rpm: "x86_64",
  },
  arm64: {
    machine: "aarch64",
    loader: "/lib/ld-linux-aarch64.so.1",
    multiarch: "aarch64-linux-gnu",
    deb: "arm64",
    rpm: "aarch64",
  },
};

/** The oldest C library that the program runs with. The launcher says it too. */
export const OLDEST_GLIBC = "2.28";
