/** What a file may cost that is opened with a passphrase, whoever made it. */
import { inputError } from "../errors.ts";

/**
 * OpenSSL writes 2,048 rounds, NSS 600,000, the OWASP cheat sheet of 2023 asks for 1,300,000 of PBKDF2 with SHA-1;
 * PKCS#12 files have three such counts. A million rounds take one to three seconds, so this is ten at most.
 */
const MAX_ROUNDS = 4_000_000;
/**
 * Cost × block size × parallelization of scrypt: 32 times what OpenSSL writes (2^14 × 8 × 1), five seconds. OpenSSL
 * bounds the memory only.
 */
const MAX_SCRYPT_WORK = 2 ** 22;

/** Counts what one file asks for, so that many small counts can't get around the limit. */
export class DerivationBudget {
  readonly #subject: string;
  #rounds = 0;

  /** @param subject what the user knows the file by */
  constructor(subject: string) {
    this.#subject = subject;
  }

  /**
   * Before so many rounds of a hash.
   * @returns them
   * @throws SealError `input` when the file has asked for too many
   */
  spend(rounds: number): number {
    this.#rounds += rounds;
    if (this.#rounds <= MAX_ROUNDS) return rounds;
    throw inputError(
      this.#subject,
      `opening it would take ${this.#rounds} rounds of key derivation, more than seal's limit of ${MAX_ROUNDS} for a file; export the key again with fewer (openssl writes 2048)`,
    );
  }

  /**
   * Before scrypt (RFC 7914 2) with these parameters.
   * @throws SealError `input` when that is too much
   */
  spendScrypt(cost: number, blockSize: number, parallelization: number): void {
    if (cost * blockSize * parallelization <= MAX_SCRYPT_WORK) return;
    throw inputError(
      this.#subject,
      `opening it would take scrypt with N=${cost}, r=${blockSize}, p=${parallelization}, more than seal allows for a file; export the key again with lower parameters (openssl writes N=16384, r=8, p=1)`,
    );
  }
}
