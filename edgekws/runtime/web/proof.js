// For Node.js, behind unpack.js and spotter.js: PAGE CLIPS FRAMES OUTPUT
//
// CLIPS holds windows of int16, FRAMES what the network takes in each of its runs, bytes. OUTPUT
// gets, of the module with SIMD and then of the other one, quantized features and logits of every
// clip, and the logits of every run; a stream begins with the first run.

const fs = require("node:fs");

function prove(spotter, clips, frames, size) {
  const {model, wasm} = spotter, results = [];
  const keep = values => results.push(Buffer.from(values.slice().buffer));
  for (let at = 0; at < clips.length; at += model.windowSamples) {
    spotter.samples.set(clips.subarray(at, at + model.windowSamples));
    wasm.classify();
    keep(spotter.clipFeatures);
    keep(spotter.logits);
  }
  const input = new Uint8Array(wasm.memory.buffer, wasm.network_features(), size);
  wasm.network_reset();
  for (let at = 0; at < frames.length; at += size) {
    input.set(frames.subarray(at, at + size));
    wasm.network_run();
    keep(spotter.logits);
  }
  return results;
}

async function main([page, clips, frames, output]) {
  const html = fs.readFileSync(page, "utf-8");
  const [, sizes, packed] = /<script [^>]*id="pack" data-sizes="([\d ]+)">(.*?)<\/script>/s.exec(html);
  const model = JSON.parse(/<script [^>]*id="model">(.*?)<\/script>/s.exec(html)[1]);
  const {simd, scalar} = await unpack(packed, sizes.split(" ").map(Number));
  const samples = new Int16Array(Uint8Array.from(fs.readFileSync(clips)).buffer);
  const results = [];
  for (const module of [simd, scalar]) {
    const size = model.networkFrames * model.mels;
    results.push(...prove(await Spotter.load(module, model), samples, fs.readFileSync(frames), size));
  }
  fs.writeFileSync(output, Buffer.concat(results));
}

main(process.argv.slice(2));
