/**
 * What both peers share: the npm packages, which tests/interop/node pins, the command line, and the one line of output.
 */
import { createRequire } from "node:module";
import { parseArgs } from "node:util";

const installed = createRequire(new URL("../../tests/interop/node/package.json", import.meta.url));

export const { Queue, Worker } = installed("bullmq");
export const { Redis } = installed("ioredis");

/**
 * The values of `--name value` for each of the names; those of `lists` may come several times.
 * A name that is missing ends the process.
 *
 * @param {string[]} texts
 * @param {string[]} numbers
 * @param {string[]} [lists]
 */
export function commandLine(texts, numbers, lists = []) {
  const option = (multiple) => (name) => [name, { type: "string", multiple }];
  const options = Object.fromEntries([...[...texts, ...numbers].map(option(false)), ...lists.map(option(true))]);
  const { values } = parseArgs({ options });
  const missing = Object.keys(options).filter((name) => !values[name]?.length);
  if (missing.length) throw new Error(`missing: ${missing.map((name) => `--${name}`).join(" ")}`);
  return { ...values, ...Object.fromEntries(numbers.map((name) => [name, Number(values[name])])) };
}

/** @param {string} url */
export function connect(url) {
  return new Redis(url, { maxRetriesPerRequest: null });
}

/** A clock that starts once the warm-up has been counted, and stops when all have. */
export class Stopwatch {
  #counted = 0;
  #started;
  #count;
  #warmUp;
  #finish;
  #finished = new Promise((resolve) => (this.#finish = resolve));

  /**
   * @param {number} count - how many there are, those of the warm-up included
   * @param {number} warmUp - how many are not measured, at least
   */
  constructor(count, warmUp) {
    this.#count = count;
    this.#warmUp = warmUp;
    this.add(0);
  }

  /** @param {number} more - how many are done since the last call */
  add(more) {
    this.#counted += more;
    if (this.#started === undefined && this.#counted >= this.#warmUp) {
      // A batch may go beyond the warm-up; what it brought is not measured either.
      this.#warmUp = this.#counted;
      this.#started = performance.now();
    }
    if (this.#counted >= this.#count) this.#finish((performance.now() - this.#started) / 1000);
  }

  /** Wait until all are counted, and print how many were measured and how long they took. */
  async report() {
    const seconds = await this.#finished;
    console.log(JSON.stringify({ count: this.#counted - this.#warmUp, seconds }));
  }
}
