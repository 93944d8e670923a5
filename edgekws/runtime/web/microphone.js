// Runs beside the page: passes the microphone's samples on in pieces of about 20 ms.
registerProcessor("microphone", class extends AudioWorkletProcessor {
  pieces = [];

  process([[samples]]) {
    if (samples) this.pieces.push(samples.slice());
    if (this.pieces.length * 128 >= sampleRate / 50) this.port.postMessage(this.pieces.splice(0));
    return true;
  }
});
