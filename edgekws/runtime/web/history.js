// What was heard: samples, features and scores of every hop.

const KEPT_S = 600, DROPPED_S = 60;

class History {
  constructor(model) {
    this.hopS = model.hopSamples / model.sampleRate;
    this.rate = model.sampleRate;
    this.sizes = {
      samples: model.hopSamples,
      features: model.hopFrames * model.mels,
      scores: model.keywords.length,
    };
    this.clear();
  }

  clear() {
    this.first = 0; // hops that were dropped
    this.end = 0; // hops so far
    Object.assign(this, {
      samples: new Int16Array(0),
      features: new Uint8Array(0),
      scores: new Float32Array(0),
    });
  }

  get startS() {
    return this.first * this.hopS;
  }

  get endS() {
    return this.end * this.hopS;
  }

  /** Keep a hop. Where it is `bounded`, the oldest minute goes after ten. */
  add(hop, bounded) {
    if (bounded && (this.end - this.first) * this.hopS >= KEPT_S) this.drop();
    const kept = this.end++ - this.first;
    for (const [name, size] of Object.entries(this.sizes)) {
      if (this[name].length < (kept + 1) * size) {
        const grown = new this[name].constructor(Math.max(512, 2 * kept) * size);
        grown.set(this[name]);
        this[name] = grown;
      }
      this[name].set(hop[name], kept * size);
    }
  }

  drop() {
    const hops = Math.round(DROPPED_S / this.hopS);
    for (const [name, size] of Object.entries(this.sizes)) this[name].copyWithin(0, hops * size);
    this.first += hops;
  }

  /** Return an array's values at a hop, undefined where it is not kept. */
  at(name, hop) {
    const size = this.sizes[name], start = (hop - this.first) * size;
    return hop < this.first || hop >= this.end ? undefined : this[name].subarray(start, start + size);
  }

  /** Return the samples between two times in seconds, as far as they are kept. */
  cut(startS, endS) {
    const offset = this.first * this.sizes.samples, end = this.end * this.sizes.samples;
    const place = s => Math.max(offset, Math.min(Math.round(s * this.rate), end)) - offset;
    return this.samples.slice(place(startS), place(endS));
  }
}
