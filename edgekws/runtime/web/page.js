// The page: listens or reads a file, shows what the spotter hears, saves sounds.

const model = JSON.parse($("model").textContent);
const history = new History(model);
const picture = new Picture($("picture"), model, history);
const darkScheme = matchMedia("(prefers-color-scheme: dark)");
const thresholds = [...model.thresholds];

let spotter, sound, microphone, player;
let source = ""; // "microphone", or the name of a file
let events = [];
let kept = null; // the samples of the file
let shown = null; // the hop at the right edge of the picture; null follows the newest
let job = 0; // the number of what is being done; what finds another one ends
let painted = ""; // what the page shows
let rested = 0; // when it may be painted again: drawing takes a third of the time at most

const say = text => { $("status").textContent = text; };

function complain(text) {
  $("alert").textContent = text;
  $("alert").hidden = !text;
}

function nameOf(keyword) {
  return model.keywords[keyword];
}

function hear(samples) {
  const found = spotter.push(samples);
  history.add({samples, features: spotter.features, scores: spotter.scores}, !kept);
  report(found);
}

function report(found) {
  for (const event of found) {
    events.push(event);
    addRow(event);
    announce(event);
  }
}

function announce(event) {
  $("last").textContent = nameOf(event.keyword);
  $("last").style.setProperty("--hue", hueOf(event.keyword, model.keywords.length));
  const row = $("keywords").children[event.keyword];
  for (const element of [row, $("last")]) {
    element.classList.remove("heard");
    void element.offsetWidth; // starts the animation again
    element.classList.add("heard");
  }
}

function addRow(event) {
  const row = $("events").insertRow(0), name = nameOf(event.keyword);
  const cell = text => row.insertCell().append(text);
  const button = (text, label, action) => {
    const made = document.createElement("button");
    made.textContent = text;
    made.setAttribute("aria-label", `${label}: ${name} at ${clock(event.end, 1)}`);
    made.onclick = () => action(event.start - 0.5, event.end + 0.5);
    return made;
  };
  cell(button(clock(event.end, 1), "Show", (_, end) => show(Math.ceil((end + 1) / history.hopS))));
  row.cells[0].firstChild.className = "plain";
  cell(name);
  row.cells[1].dir = "auto";
  row.cells[1].style.setProperty("--hue", hueOf(event.keyword, model.keywords.length));
  cell(event.score.toFixed(2));
  row.cells[2].className = "num";
  cell(button("▶", "Play", (start, end) => play(start, end)));
  row.cells[3].append(button("False alarm", "Save as false alarm",
    (start, end) => saveSound(`false-alarm_${name}`, start, end)));
  row.cells[3].className = "actions";
  countEvents();
}

function countEvents() {
  $("count").textContent = events.length || "";
  $("none").hidden = events.length > 0;
  $("save-events").disabled = !events.length;
}

function clear() {
  job++;
  spotter.reset();
  history.clear();
  events = [];
  shown = null;
  $("events").replaceChildren();
  $("last").textContent = "";
  countEvents();
}

function show(hop) {
  shown = hop >= history.end ? null : Math.max(hop, history.first + 1);
  $("picture").scrollIntoView({block: "nearest"});
}

function keywordRow(name, keyword) {
  const row = document.createElement("div");
  row.className = "keyword";
  row.style.setProperty("--hue", hueOf(keyword, model.keywords.length));
  row.innerHTML = `<span class="name"></span><span class="meter"><i></i><input type="range" min="0.01" max="1" step="0.01"></span><output></output>`;
  row.querySelector(".name").textContent = name;
  row.querySelector(".name").dir = "auto";
  const slider = row.querySelector("input");
  slider.setAttribute("aria-label", `Threshold of ${name}`);
  slider.oninput = () => setThreshold(keyword, Number(slider.value));
  slider.onchange = again;
  return row;
}

function setThreshold(keyword, threshold) {
  const row = $("keywords").children[keyword];
  thresholds[keyword] = threshold;
  spotter.setThreshold(keyword, threshold);
  row.querySelector("input").value = threshold;
  row.querySelector("output").textContent = threshold.toFixed(2);
}

/** Detect in the file again: thresholds have moved. */
function again() {
  if (!kept) return;
  const where = shown;
  clear();
  shown = where;
  process();
}

function paint() {
  requestAnimationFrame(paint);
  const begun = performance.now();
  if (begun < rested) return;
  const dark = darkScheme.matches, end = shown ?? history.end;
  const state = [dark, end, history.end, events.length, !player, thresholds, $("picture").clientWidth].join();
  if (state === painted) return;
  painted = state;
  const position = $("position");
  position.min = Math.min(history.first + picture.hops, history.end);
  position.max = history.end;
  position.value = end;
  $("at").textContent = clock(end * history.hopS, 1);
  const empty = history.end === history.first;
  position.disabled = empty || history.end - history.first <= picture.hops;
  for (const id of ["play", "save-alarm", "save-miss", "reset"]) $(id).disabled = empty;
  $("play").textContent = player ? "Stop" : "Play";
  const scores = history.at("scores", Math.min(end, history.end) - 1);
  [...$("keywords").children].forEach((row, keyword) => {
    const score = scores?.[keyword] ?? 0;
    row.style.setProperty("--score", score);
    row.classList.toggle("above", score >= thresholds[keyword]);
  });
  picture.draw(end, thresholds, events, dark);
  rested = begun + 3 * (performance.now() - begun);
}

function connect() {
  $("listen").onclick = toggleListening;
  $("file").onchange = ({target}) => {
    if (target.files[0]) open(target.files[0]);
    target.value = "";
  };
  $("reset").onclick = () => {
    if (!microphone) kept = null;
    clear();
    complain("");
    if (!microphone) say("Ready.");
  };
  $("position").oninput = ({target}) => { shown = Number(target.value) >= history.end ? null : Number(target.value); };
  $("calibrated").onclick = () => {
    model.thresholds.forEach((threshold, keyword) => setThreshold(keyword, threshold));
    again();
  };
  $("play").onclick = () => player ? stopPlaying() : play(...lastSeconds());
  $("save-alarm").onclick = () => saveSound("false-alarm", ...lastSeconds());
  $("save-miss").onclick = () => saveSound(`miss_${nameOf($("missed").value)}`, ...lastSeconds());
  $("save-events").onclick = saveEvents;
  const covered = on => event => {
    event.preventDefault();
    $("drop").hidden = !on;
  };
  addEventListener("dragover", covered(true));
  addEventListener("dragleave", covered(false));
  addEventListener("drop", event => {
    covered(false)(event);
    if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
  });
}

async function begin() {
  const build = WebAssembly.validate(parts.simd) ? "simd" : "scalar";
  spotter = await Spotter.load(parts[build], model);
  $("build").textContent = `WebAssembly, ${build === "simd" ? "SIMD" : "scalar"}`;
  $("keywords").append(...model.keywords.map(keywordRow));
  model.thresholds.forEach((threshold, keyword) => setThreshold(keyword, threshold));
  connect();
  for (const id of ["listen", "file"]) $(id).disabled = false;
  document.body.dataset.build = build;
  say("Ready.");
  paint();
}

begin().catch(cannotRun);
