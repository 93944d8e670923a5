// Sound in and out of the page: WAV files, and resampling.

/**
 * Return the samples of a WAV file of 16-bit integers at `rate` as Int16Array, exactly; several
 * channels are averaged. Null where it is anything else.
 */
function readWav(buffer, rate) {
  const view = new DataView(buffer), size = buffer.byteLength;
  const name = at => String.fromCharCode(...new Uint8Array(buffer, at, 4));
  if (size < 12 || name(0) !== "RIFF" || name(8) !== "WAVE") return null;
  let channels = 0;
  for (let at = 12; at + 8 <= size;) {
    const length = view.getUint32(at + 4, true), start = at + 8;
    if (name(at) === "fmt " && start + 16 <= size) {
      const code = view.getUint16(start, true);
      const integers = code === 1 || code === 0xfffe && length >= 26 &&
        view.getUint16(start + 24, true) === 1;
      channels = view.getUint16(start + 2, true);
      const fits = view.getUint32(start + 4, true) === rate && view.getUint16(start + 14, true) === 16;
      if (!integers || !fits || !channels) return null;
    } else if (name(at) === "data") {
      // a writer that was interrupted, or writes to a pipe, leaves the length out
      const open = length === 0xffffffff || length === 0 && start < size;
      const end = open ? size : Math.min(start + length, size);
      return channels ? mixed(view, start, Math.floor((end - start) / 2 / channels), channels) : null;
    }
    at = start + length + length % 2;
  }
  return null;
}

function mixed(view, start, frames, channels) {
  const samples = new Int16Array(frames);
  for (let i = 0; i < frames; i++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += view.getInt16(start + 2 * (i * channels + c), true);
    samples[i] = Math.round(sum / channels);
  }
  return samples;
}

/** Return a WAV file of samples. */
function writeWav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, word) => [...word].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, "WAVEfmt ");
  [[16, 16], [24, rate], [28, 2 * rate]].forEach(([at, n]) => view.setUint32(at, n, true));
  [[20, 1], [22, 1], [32, 2], [34, 16]].forEach(([at, n]) => view.setUint16(at, n, true));
  text(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, i) => view.setInt16(44 + 2 * i, sample, true));
  return new Blob([view], {type: "audio/wav"});
}

/** Return floats in [-1, 1] as 16-bit integers. */
function toIntegers(floats) {
  return Int16Array.from(floats, x => Math.max(-32768, Math.min(32767, Math.round(32768 * x))));
}

/** Resamples a stream by a low-pass filter: a sinc of 24 zero crossings a side, Kaiser window. */
class Resampler {
  constructor(from, to) {
    const divisor = (a, b) => b ? divisor(b, a % b) : a, common = divisor(from, to);
    this.step = from / common;
    this.phases = to / common;
    const cutoff = 0.95 * Math.min(1, to / from);
    this.half = from === to ? 0 : Math.ceil(24 / cutoff);
    this.taps = Array.from({length: this.phases}, (_, phase) => this.filter(phase, cutoff));
    this.rest = new Float32Array(Math.max(0, this.half - 1));
    this.place = 0; // of the next output, in 1 / phases of an input sample
  }

  filter(phase, cutoff) {
    if (!this.half) return Float64Array.of(1);
    const bessel = x => {
      let sum = 1;
      for (let term = 1, k = 1; term > 1e-12 * sum; k++) sum += term *= (x / 2 / k) ** 2;
      return sum;
    };
    const taps = Float64Array.from({length: 2 * this.half}, (_, i) => {
      const x = i - this.half + 1 - phase / this.phases, turns = Math.PI * cutoff * x;
      const edge = Math.max(0, 1 - (x / this.half) ** 2);
      return (x ? Math.sin(turns) / turns : 1) * bessel(9 * Math.sqrt(edge));
    });
    const sum = taps.reduce((a, b) => a + b);
    return taps.map(tap => tap / sum);
  }

  /** Take the next samples, floats; return those that they complete. */
  push(samples) {
    const input = new Float32Array(this.rest.length + samples.length), output = [];
    input.set(this.rest);
    input.set(samples, this.rest.length);
    for (;; this.place += this.step) {
      const first = Math.floor(this.place / this.phases), taps = this.taps[this.place % this.phases];
      if (first + taps.length > input.length) break;
      let sum = 0;
      for (let i = 0; i < taps.length; i++) sum += taps[i] * input[first + i];
      output.push(sum);
    }
    const used = Math.min(Math.floor(this.place / this.phases), input.length);
    this.place -= used * this.phases;
    this.rest = input.slice(used);
    return Float32Array.from(output);
  }
}
