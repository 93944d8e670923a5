// Where samples come from: the microphone, and files.

async function listen() {
  if (!navigator.mediaDevices) {
    throw new Error("This browser gives its microphone only to https pages and to files: save this page and open the file.");
  }
  const asked = {channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false};
  const context = new AudioContext(), mine = microphone = {context};
  await context.audioWorklet.addModule(`data:text/javascript,${encodeURIComponent($("worklet").textContent)}`);
  const stream = mine.stream = await navigator.mediaDevices.getUserMedia({audio: asked});
  if (microphone !== mine) return stream.getTracks().forEach(track => track.stop()); // a file came
  await context.resume();
  start("microphone", null);
  const resampler = new Resampler(context.sampleRate, model.sampleRate);
  const hop = new Int16Array(model.hopSamples);
  let filled = 0;
  const node = new AudioWorkletNode(context, "microphone");
  node.port.onmessage = ({data}) => {
    if (microphone !== mine || player) return;
    for (const sample of data.flatMap(piece => [...toIntegers(resampler.push(piece))])) {
      hop[filled++] = sample;
      if (filled === hop.length) {
        hear(hop);
        filled = 0;
      }
    }
  };
  context.createMediaStreamSource(stream).connect(node).connect(context.destination); // silent
  stream.getAudioTracks()[0].onended = () => {
    stopListening();
    complain("The microphone is gone. Connect it and press Listen again.");
  };
  const settings = stream.getAudioTracks()[0].getSettings();
  const changed = ["echoCancellation", "noiseSuppression", "autoGainControl"].filter(name => settings[name]);
  if (changed.length) complain(`The browser keeps ${changed.join(", ")} on; scores may suffer.`);
  $("listen").textContent = "Stop";
  document.body.classList.add("listening");
  say("Listening – speak.");
}

function stopListening() {
  if (!microphone) return;
  microphone.stream?.getTracks().forEach(track => track.stop());
  microphone.context.close();
  microphone = null;
  if (!document.body.classList.contains("listening")) return;
  report(spotter.flush());
  job++;
  $("listen").textContent = "Listen";
  document.body.classList.remove("listening");
  say(`Stopped after ${clock(history.endS)}.`);
}

const REFUSALS = {
  NotAllowedError: "The microphone was refused. Allow it in the address bar of the browser and press Listen again, or choose a file.",
  NotFoundError: "No microphone was found. Connect one, or choose a file.",
  NotReadableError: "The microphone is used by another program. Close it and press Listen again.",
};

async function toggleListening() {
  complain("");
  if (microphone) return stopListening();
  $("listen").disabled = true;
  try {
    await listen();
  } catch (error) {
    stopListening();
    say("Not listening.");
    complain(REFUSALS[error.name] ?? error.message);
  }
  $("listen").disabled = false;
}

async function open(file) {
  complain("");
  stopListening();
  say(`Reading ${file.name} …`);
  try {
    const samples = await decode(await file.arrayBuffer());
    if (!samples.length) throw new Error("it holds no samples");
    start(file.name, samples);
    await process();
  } catch (error) {
    say("Ready.");
    const reason = error.name === "EncodingError" ? "it is no sound that this browser decodes" : error.message;
    complain(`${file.name} cannot be read: ${reason}. Choose a WAV, FLAC, MP3 or Ogg file.`);
  }
}

/** Return Int16 samples at the rate of the model: a WAV file's own, others decoded by the browser. */
async function decode(buffer) {
  const exact = readWav(buffer, model.sampleRate);
  if (exact) return exact;
  const context = new OfflineAudioContext(1, 1, model.sampleRate);
  const decoded = await context.decodeAudioData(buffer);
  const channels = Array.from({length: decoded.numberOfChannels}, (_, c) => decoded.getChannelData(c));
  return toIntegers(channels.length === 1 ? channels[0]
    : channels[0].map((_, i) => channels.reduce((sum, c) => sum + c[i], 0) / channels.length));
}

function start(name, samples) {
  source = name;
  kept = samples;
  clear();
  document.body.classList.add("used");
}

/** Detect the keywords of the file, some milliseconds at a time. */
async function process() {
  const current = job, hop = model.hopSamples;
  for (let at = 0; at < kept.length;) {
    const pause = performance.now() + 12;
    for (; at < kept.length && performance.now() < pause; at += hop) hear(kept.subarray(at, at + hop));
    say(`${source}: ${Math.floor(100 * Math.min(at / kept.length, 1))} %`);
    await new Promise(resolve => setTimeout(resolve));
    if (job !== current) return;
  }
  report(spotter.flush());
  document.body.dataset.done = source;
  say(`${source}: ${clock(kept.length / model.sampleRate)}, ${events.length} ${events.length === 1 ? "event" : "events"}.`);
}
