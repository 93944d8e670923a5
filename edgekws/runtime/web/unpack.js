// Style and script of the page and the WebAssembly, with SIMD and without, are packed: DEFLATE in
// base 85.

const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;/=>?@^_`{|}~";

/**
 * Return `{style, script, simd, scalar}`. Sizes in bytes: of what is packed, of the end that the
 * modules share and that is left out of the last one, of the module with SIMD, style and script.
 */
async function unpack(packed, [size, shared, simd, style, script]) {
  const view = new DataView(new ArrayBuffer(packed.length / 5 * 4));
  for (let i = 0, word = 0; i < packed.length; i++) {
    word = (i % 5 ? 85 * word : 0) + DIGITS.indexOf(packed[i]);
    if (i % 5 === 4) view.setUint32((i - 4) / 5 * 4, word);
  }
  const stream = new Blob([view.buffer.slice(0, size)]).stream();
  const inflated = new Response(stream.pipeThrough(new DecompressionStream("deflate-raw")));
  const bytes = new Uint8Array(await inflated.arrayBuffer());
  const start = style + script, end = start + simd;
  const text = (from, to) => new TextDecoder().decode(bytes.subarray(from, to));
  const scalar = new Uint8Array(bytes.length - end + shared);
  scalar.set(bytes.subarray(end));
  scalar.set(bytes.subarray(end - shared, end), scalar.length - shared);
  return {style: text(0, style), script: text(style, start), simd: bytes.subarray(start, end), scalar};
}
