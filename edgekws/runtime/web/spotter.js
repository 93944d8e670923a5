// The WebAssembly of a bundle: 16-bit samples in; scores, features and events out.

/** Detects keywords in a stream of Int16 samples at the rate of the model. */
class Spotter {
  /** `model`: labels, keywords, hopSamples, hopFrames, mels, frames, windowSamples. */
  static async load(wasm, model) {
    const {instance} = await WebAssembly.instantiate(wasm);
    return new Spotter(instance.exports, model);
  }

  constructor(wasm, model) {
    const memory = wasm.memory.buffer;
    this.wasm = wasm;
    this.model = model;
    this.samples = new Int16Array(memory, wasm.samples(), model.windowSamples);
    this.scores = new Float32Array(memory, wasm.scores(), model.keywords.length);
    this.logits = new Float32Array(memory, wasm.logits(), model.labels.length);
    this.clipFeatures = new Uint8Array(memory, wasm.clip_features(), model.frames * model.mels);
    this.features = new Uint8Array(memory, wasm.hop_features(), model.hopFrames * model.mels);
    this.rows = new Float64Array(memory, wasm.rows());
    wasm.start();
  }

  /** Take up to a hop of samples and return the events that they complete. */
  push(samples) {
    this.samples.set(samples);
    return this.events(this.wasm.push(samples.length));
  }

  /** End the stream, return its last events, and begin another one. */
  flush() {
    return this.events(this.wasm.flush());
  }

  reset() {
    this.wasm.reset();
  }

  setThreshold(keyword, score) {
    this.wasm.set_threshold(keyword, score);
  }

  events(n) {
    return Array.from({length: n}, (_, i) => {
      const [keyword, start, end, score] = this.rows.subarray(4 * i, 4 * i + 4);
      return {keyword, start, end, score};
    });
  }
}
