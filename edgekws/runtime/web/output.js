// Sounds and lists that leave the page: to the loudspeaker, and to files.

function play(startS, endS) {
  stopPlaying();
  const samples = history.cut(startS, endS);
  if (!samples.length) return complain("This sound is not kept any more.");
  sound ??= new AudioContext();
  sound.resume();
  const buffer = sound.createBuffer(1, samples.length, model.sampleRate);
  buffer.copyToChannel(Float32Array.from(samples, sample => sample / 32768), 0);
  const playing = player = sound.createBufferSource();
  player.buffer = buffer;
  player.connect(sound.destination);
  player.onended = () => { if (player === playing) player = null; };
  player.start();
}

function stopPlaying() {
  player?.stop();
  player = null;
}

function saveSound(what, startS, endS) {
  const samples = history.cut(startS, endS);
  if (!samples.length) return complain("This sound is not kept any more.");
  const at = clock(Math.max(startS, history.startS), 1).replace(":", "m");
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, "");
  save(writeWav(samples, model.sampleRate), `${what}_${stamp}_${at}s.wav`);
}

/** Save events as the lines that detect.py prints. */
function saveEvents() {
  const round = (x, digits) => Number(x.toFixed(digits));
  const line = e => JSON.stringify({file: source, keyword: nameOf(e.keyword), start_s: round(e.start, 3),
    end_s: round(e.end, 3), score: round(e.score, 4)});
  save(new Blob(events.map(e => line(e) + "\n"), {type: "application/jsonl"}), "events.jsonl");
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name.replaceAll(/[\u0000-\u001f<>:"/\\|?*\s]/g, "_");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  say(`Saved ${link.download}`);
}

/** Return the time at the right edge of the picture. */
function edgeS() {
  return (shown ?? history.end) * history.hopS;
}

function lastSeconds() {
  const end = Math.min(edgeS(), history.endS);
  return [end - Number($("seconds").value), end];
}
