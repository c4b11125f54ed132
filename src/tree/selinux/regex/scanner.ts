/** The characters of a pattern, one at a time. */

/** The pattern is not valid in the syntax that it was read in. Never leaves the policy code. */
export class RegexSyntaxError extends Error {}

/**
 * White space never occurs in a policy's pattern (it separates the fields), so free-spacing mode
 * only concerns comments.
 */
export class Scanner {
  readonly text: string;
  readonly #chars: readonly string[];
  #position = 0;
  /** Flag `x`: `#` opens a comment. */
  ignoreSpace = false;

  constructor(text: string) {
    this.text = text;
    this.#chars = Array.from(text);
  }

  get atEnd(): boolean {
    return this.#position >= this.#chars.length;
  }

  /** The character here. @throws RegexSyntaxError at the end */
  current(): string {
    const char = this.#chars[this.#position];
    if (char === undefined) throw new RegexSyntaxError("unexpected end");
    return char;
  }

  get position(): number {
    return this.#position;
  }

  /** Goes back to an earlier position. */
  reset(position: number): void {
    this.#position = position;
  }

  /** The next character but `ahead - 1`; undefined past the end. */
  peek(ahead = 1): string | undefined {
    return this.#chars[this.#position + ahead];
  }

  bump(): void {
    this.#position++;
  }

  /** In free-spacing mode a comment goes to the end: a pattern has no newline that could close it. */
  skipComment(): void {
    if (this.ignoreSpace && this.peek(0) === "#") this.#position = this.#chars.length;
  }

  bumpAndSkip(): void {
    this.bump();
    this.skipComment();
  }

  /** What follows the character here as a range in a bracket sees it: past one `#` in free-spacing mode. */
  peekSpace(): string | undefined {
    if (!this.ignoreSpace || this.peek() !== "#") return this.peek();
    return this.peek(2) ?? this.peek();
  }

  startsWith(text: string): boolean {
    return [...text].every((char, i) => this.peek(i) === char);
  }

  /** Steps over `text` if it is here. */
  take(text: string): boolean {
    if (!this.startsWith(text)) return false;
    this.#position += text.length;
    return true;
  }

  /** A decimal number below 2^32. */
  takeDecimal(): number {
    let digits = "";
    while (!this.atEnd && /^[0-9]$/.test(this.current())) {
      digits += this.current();
      this.bumpAndSkip();
    }
    const value = Number(digits);
    if (digits === "" || value > 0xffffffff) throw new RegexSyntaxError("bad number");
    return value;
  }
}
