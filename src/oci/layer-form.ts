/** How a layer is stored, as far as readers stumble over it. */
export interface LayerForm {
  /** By its first bytes. */
  readonly compression: "gzip" | "zstd" | "none";
  /** What the manifest says that it is, where that is not so; null: it is, or nothing is said. */
  readonly wrongType: string | null;
  /** Whether all of it is in the first Zstandard frame or gzip member. */
  readonly isOnePart: boolean;
}
