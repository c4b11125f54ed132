/** How a layer is stored, as far as the file itself shows. */
export interface StoredForm {
  /** By its first bytes. */
  readonly compression: "gzip" | "zstd" | "none";
  /** Whether all of it is in the first Zstandard frame or gzip member. */
  readonly isOnePart: boolean;
}

/** How a layer is stored, as far as readers stumble over it. */
export interface LayerForm extends StoredForm {
  /** What the manifest says that it is, where that is not so; null: it is, or nothing is said. */
  readonly wrongType: string | null;
}
