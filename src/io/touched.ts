/** Which directories of a tree were changed after the tree came here, by something that is not in them any more. */
import { displayBytes } from "../bytes.ts";
import type { Stat } from "./libc.ts";

/** Since 1970. */
export interface Time {
  readonly sec: number;
  readonly nsec: number;
}

/** A directory, its path in latin1, with a slash at its end. */
interface Touched {
  readonly path: string;
  readonly mtime: Time;
}

/** Looks at the times of one directory after the other: {@link note} for each entry, then {@link end}. */
export class TouchedDirectories {
  readonly #found: Touched[] = [];
  /** Of all there is: about when the tree was put here. */
  readonly #oldest = { sec: Number.POSITIVE_INFINITY, nsec: 0 };
  /** In the directory that is read. */
  readonly #newest = { sec: 0, nsec: 0 };

  /** An entry, with its ctime. */
  note({ ctimeSec, ctimeNsec }: Pick<Stat, "ctimeSec" | "ctimeNsec">): void {
    if (isLater(ctimeSec, ctimeNsec, this.#newest)) set(this.#newest, ctimeSec, ctimeNsec);
    if (!isLater(ctimeSec, ctimeNsec, this.#oldest)) set(this.#oldest, ctimeSec, ctimeNsec);
  }

  /** The directory whose entries were noted. */
  end(directory: Touched): void {
    if (isLater(directory.mtime.sec, directory.mtime.nsec, this.#newest)) this.#found.push(directory);
    set(this.#newest, 0, 0);
  }

  /**
   * Readable paths, sorted. The entries of such a directory have older ctimes, so it was changed by something that is
   * gone, or without effect. Unpacking and copying set older times.
   * @param prefix path of the root, which does not count, with a slash at its end
   */
  below(prefix: string): string[] {
    return this.#found
      .filter(({ path, mtime }) => path !== prefix && isLater(mtime.sec, mtime.nsec, this.#oldest))
      .map(({ path }) => displayBytes(Buffer.from(path.slice(prefix.length, -1), "latin1")))
      .sort();
  }
}

function set(time: { sec: number; nsec: number }, sec: number, nsec: number): void {
  time.sec = sec;
  time.nsec = nsec;
}

function isLater(sec: number, nsec: number, than: Time): boolean {
  return sec > than.sec || (sec === than.sec && nsec > than.nsec);
}
